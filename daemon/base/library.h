/* SPDX-License-Identifier: Apache-2.0 */
/* Shared libraries that are loaded when the first of their functions is called, not with the program. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Loads `file`, as dlopen() finds it, and sets `ret_functions[i]` to the function `names[i]`, for `count` of them.
 * The library stays until the process ends. Returns whether all are there; if not, it is logged as an error:
 * `without` (what cannot be done now), the loader's reason and `remedy`. */
bool library_load(const char *file, const char *const names[], size_t count, void *ret_functions[],
		  const char *without, const char *remedy);
