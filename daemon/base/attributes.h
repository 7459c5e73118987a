/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiler attributes and the scope-exit cleanup that every room uses.
 *
 * Ownership rule of the whole tree: a local that owns something is declared with one of the
 * *_cleanup macros, and is given away with take_pointer()/take_fd() when the function succeeds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _printf_(string_index, first_argument) \
	__attribute__((format(printf, string_index, first_argument)))
#define _unused_ __attribute__((unused))
#define _must_check_ __attribute__((warn_unused_result))

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#define container_of(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))

static inline void free_cleanup(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

/* Declares an owned heap pointer: `_cleanup_free_ char *name = NULL;` */
#define _cleanup_free_ _cleanup_(free_cleanup)

/* Gives the pointer away and forgets it, so that its cleanup frees nothing. */
#define take_pointer(pointer)                         \
	({                                            \
		typeof(pointer) _taken = (pointer);   \
		(pointer) = NULL;                     \
		_taken;                               \
	})
