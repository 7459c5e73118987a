/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's own table of functions, lines and inlined calls (.gopclntab), which the runtime needs for
 * tracebacks and which strip therefore leaves: Go 1.18 and later. Format: runtime/symtab.go,
 * runtime/symtabinl.go and cmd/link/internal/ld/pcln.go of the Go source.
 */
#pragma once

#include "binary/elf_file.h"

struct go_table {
	const unsigned char *bytes; /* from the header on, inside the file */
	size_t size;
	bool is_go_1_18; /* the format of 1.18 and 1.19; else that of 1.20 and later */
	uint8_t quantum; /* instruction addresses are multiples of it */
	uint32_t function_count;
	uint64_t text; /* address that function offsets count from */
	/* Parts of the table, as offsets into it. */
	uint64_t names, units, files, values, functions;
	const unsigned char *inline_trees; /* go:func.*; NULL: not found, no inlined calls */
	size_t inline_trees_size;
};

/* Returns 0, -ENODATA (not made by Go), -ENOTSUP (an older format) or -EBADMSG. Allocates nothing; the
 * table lives as long as the file's bytes. */
int go_table_open(const struct elf_file *elf, struct go_table *ret);

struct go_function {
	uint64_t address, end;
	uint64_t record; /* offset into the table */
};

/* Function `i`, in the order of addresses. False past the end or when damaged. */
bool go_table_function(const struct go_table *table, uint32_t i, struct go_function *ret);

/* The function that contains the address. */
bool go_table_find(const struct go_table *table, uint64_t address, struct go_function *ret);

/* "" when damaged. Points into the file. */
const char *go_function_name(const struct go_table *table, const struct go_function *function);

/* One of the calls at an address: the innermost first, the function itself last. */
struct go_call {
	const char *function, *file; /* "" when unknown; point into the file */
	uint32_t line, start_line;   /* 0: unknown */
	bool inlined;
	uint64_t next_address; /* of the call in the caller, when inlined */
};

/* What is executed at an address of the function. Follow `next_address` while `inlined`, with a limit:
 * a damaged table may lead in circles. */
struct go_call go_function_call(const struct go_table *table, const struct go_function *function,
				uint64_t address);
