/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of perf map text: lines "START SIZE name", hexadecimal, name to the end of the line.
 * Source: linux tools/perf/Documentation/jit-interface.txt.
 */
#pragma once

#include "base/attributes.h"

struct jit_code {
	uint64_t start, size; /* size > 0, start + size does not overflow */
	const char *name;
	size_t name_length; /* > 0 */
};

typedef void (*jit_code_callback)(void *userdata, const struct jit_code *code);

/* Parses whole lines and returns the bytes they take; what is behind the last newline is for the
 * next call. Lines that are no entry add to *bad_lines. */
size_t perf_map_parse(const char *bytes, size_t size, jit_code_callback callback, void *userdata,
		      uint64_t *bad_lines);

/* Is this a size that code can have? */
bool jit_code_is_plausible(uint64_t start, uint64_t size);
