/* SPDX-License-Identifier: Apache-2.0 */
/* What a walk touches: between touched.c, which counts, and touched_side.c, which knows the memory. */
#pragma once

#include "bpf/wire.h"

/* What an address of the kernel side's memory belongs to, a constant text, and the number of its line of the cache
 * as the kernel would place it. NULL: the walk's own stack, or the host's. */
const char *touched_name(u64 address, u64 *ret_line);
