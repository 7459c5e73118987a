/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of BPF programs' code, asked of the kernel program by program. Programs come and go while a host
 * is profiled; reading all of /proc/kallsyms again for each takes 80 ms of CPU time, this two system calls
 * a program that is new.
 */
#pragma once

#include "base/array.h"
#include "base/attributes.h"

struct bpf_symbol {
	uint64_t start, size;
	char *name; /* owned; as /proc/kallsyms has it: "bpf_prog_<tag>_<function>" */
};

/* Zero-initialise; free with bpf_symbols_free(). */
struct bpf_symbols {
	ARRAY(struct bpf_symbol) items; /* of programs that were there once; one that takes a place evicts */
	uint32_t last_id; /* of a program that was looked at */
};

/* The function that the address is in, of a program that is loaded or was when this was called before; the name is
 * valid until the next call. False: none, or the kernel does not tell (CAP_SYS_ADMIN), or it is code that belongs
 * to no program, such as a trampoline. */
bool bpf_symbols_find(struct bpf_symbols *symbols, uint64_t address, const char **ret_name);

void bpf_symbols_free(struct bpf_symbols *symbols);
