/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The integers of the wire headers: the kernel's names on both sides. */
#pragma once

#ifdef __bpf__
#include "kernel_types.bpf.h"
#else
#include <stdint.h>
typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
#endif
