/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's type information (BTF), cut down to what programs ask for.
 */
#pragma once

#include "base/attributes.h"

struct btf;

/*
 * From `kernel`, raw BTF as the kernel exports it, only the types whose names `wanted` has as well (a
 * "___flavour" at a name's end does not count), and what these consist of. Pointers point to nothing: what
 * is behind them has a name of its own or is not asked for. Numbers of types are not the kernel's.
 *
 * Returns 0 and raw BTF that the caller frees; -EBADMSG when it is damaged, -EOPNOTSUPP when it has kinds of
 * types that are not known here, or -ENOMEM.
 */
int kernel_types_reduce(const void *kernel, size_t size, const struct btf *wanted, void **ret_bytes,
			size_t *ret_size);

/* The number that a function has in the kernel's types, as kernel_types_reduce() takes them; 0: it has not. */
uint32_t kernel_types_find_function(const void *kernel, size_t size, const char *name);
