/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of BPF programs' code, asked of the kernel program by program: of those that were there before the side-band
 * was read, which tells of the others (generated_code.h). Two system calls a program that is new, beside all of
 * /proc/kallsyms, which takes 80 ms of CPU time and more.
 */
#pragma once

#include "collect/generated_code.h"

/* Adds the functions of programs that are loaded and newer than *last_id (0 at first), which goes on to the newest
 * that was read: ids ascend. Programs that are not compiled have none. What the kernel does not tell (CAP_SYS_ADMIN)
 * is left out and asked for again the next time. It may take milliseconds, for hundreds of programs. */
void bpf_symbols_read(struct generated_code *code, uint32_t *last_id);
