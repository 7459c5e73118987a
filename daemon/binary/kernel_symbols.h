/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kernel code from /proc/kallsyms: the kernel, its modules, BPF programs and ftrace
 * trampolines: 16 bytes and its name a symbol in memory, or next to nothing where they lie in the cache.
 */
#pragma once

#include "base/array.h"
#include "base/attributes.h"

struct stored_symbols;

struct kernel_symbol {
	uint64_t address;
	uint32_t name;	 /* offset into names */
	uint32_t module; /* offset into names; 0: the kernel itself */
};

struct kernel_symbols {
	ARRAY(struct kernel_symbol) symbols; /* sorted by address, of several at one the first listed */
	char *names; /* NUL-terminated strings; the one at 0 is "" */
	size_t names_size, names_capacity;
	struct stored_symbols *stored; /* owned; from the cache, and nothing is above; NULL: it is all above */
	char *module; /* owned; of the last one found in `stored` */
	struct stored_symbol *window; /* owned; those read last, around `window_address`; NULL: none yet */
	size_t window_count;
	uint64_t window_address;
};

/* Reads kallsyms text from `path`. Only code symbols are kept. Returns 0, -EACCES when the kernel shows
 * zeros instead of addresses (kptr_restrict), or -errno. */
int kernel_symbols_load(const char *path, struct kernel_symbols *ret);
void kernel_symbols_free(struct kernel_symbols *symbols);

/* Code that the kernel generated while it ran, a BPF program or a trampoline; its end is only guessed. */
typedef void (*kernel_symbols_generated)(void *userdata, uint64_t start, uint64_t size, const char *name);

/* Takes it out of the list, in memory, as it comes and goes: what is left stays right until modules do. */
void kernel_symbols_take_generated(struct kernel_symbols *symbols, kernel_symbols_generated callback, void *userdata);

/* False when the address may be in other code, so that the kernel has to be asked: outside of the kernel and its
 * modules as they were listed. */
bool kernel_symbols_are_certain(struct kernel_symbols *symbols, uint64_t address);

/* The symbol at or before `address`, unless that is more than 1 MiB away. Strings are valid until the next call.
 * False: none. */
bool kernel_symbols_find(struct kernel_symbols *symbols, uint64_t address,
			 const char **ret_name, const char **ret_module, uint64_t *ret_start);
