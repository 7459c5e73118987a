/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the frames of an aggregate. Symbol indices and DWARF answers come from the parser child;
 * they are asked for as soon as a binary is hit, so that little is left to do when a profile is taken.
 */
#pragma once

#include "binary/binary_store.h"
#include "binary/line_answers.h"
#include "collect/binaries.h"

struct symbolizer;
struct kernel_symbols;

struct symbolizer_options {
	bool inlines; /* inlined functions as frames of their own */
};

/* One function at an address, innermost first. Strings live as long as the symbolizer. */
struct symbol_frame {
	const char *name;	 /* for people; never "" */
	const char *system_name; /* as the linker knows it */
	const char *file;	 /* "" when unknown */
	uint32_t line, column, start_line;
};

int symbolizer_new(struct binary_store *store, const struct symbolizer_options *options,
		   struct symbolizer **ret);
struct symbolizer *symbolizer_free(struct symbolizer *symbolizer);

/* Asks for the names of a binary that samples run through, unless done before. */
void symbolizer_prepare(struct symbolizer *symbolizer, struct binary *binary);

/* Collects an ELF address of a binary for which lines will be wanted. */
int symbolizer_want_lines(struct symbolizer *symbolizer, struct binary *binary, uint64_t address);

/* Asks for the lines of addresses wanted and not yet asked for: `all`, or where it is worth it by
 * now. */
void symbolizer_request_lines(struct symbolizer *symbolizer, bool all);

/* Fills at most `capacity` frames for an ELF address of a binary. Returns how many, 0: no name. */
size_t symbolizer_find(struct symbolizer *symbolizer, struct binary *binary, uint64_t address,
		       struct symbol_frame *frames, size_t capacity);

/* Name of a kernel address (and its module, "" for the kernel itself), valid until the next call.
 * False: none. */
bool symbolizer_find_kernel(struct symbolizer *symbolizer, uint64_t address,
			    struct symbol_frame *frame, const char **ret_module);
