/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vDSO as a file, for those who read executables.
 */
#pragma once

#include "bpf/wire.h"

#include <stdbool.h>

/* A read-only descriptor, the caller's, of a sealed copy of our own process's vDSO. -ENOENT: it has none; or -errno. */
int vdso_open(void);

/* Is this the identity that the BPF side gives the vDSO of 32-bit programs, which no mapping leads to? */
static inline bool vdso_is_32_bit(uint32_t device, uint64_t inode)
{
	return device == 0 && inode == VDSO_32_INODE;
}

/* The same of the vDSO that 32-bit programs on x86-64 have. Starts a process for it and waits for that: some hundred
 * microseconds, on any thread. -EOPNOTSUPP: this kernel gives it to nobody else (arch_prctl(2), ARCH_MAP_VDSO_32); or
 * -errno. */
int vdso_open_32(void);
