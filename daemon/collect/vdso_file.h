/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vDSO as a file, for those who read executables.
 */
#pragma once

/* A read-only descriptor, the caller's, of a sealed copy of our own process's vDSO. -ENOENT: it has none; or -errno. */
int vdso_open(void);
