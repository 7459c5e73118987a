/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Function names by address, read from an ARTIFACT_SYMBOLS: addresses sorted ascending in one array,
 * names in another; found by binary search without building anything.
 */
#pragma once

#include "base/attributes.h"
#include "binary/artifact.h"

struct symbol_debug;

/* A view of a checked artifact; keep the artifact's bytes alive as long as it. */
struct symbol_index {
	struct artifact artifact;
	const void *symbols;
	size_t symbol_count;
	const char *names;
	size_t names_size;
	const struct symbol_debug *debug;
};

/* Returns 0 or -EBADMSG. */
int symbol_index_open(const struct artifact *artifact, struct symbol_index *ret);

/* One function a frame stands for. Strings point into the artifact. */
struct symbol {
	const char *name;     /* as in the file: mangled */
	uint64_t address;     /* start of the function */
	uint64_t size;	      /* 0: unknown */
};

/* The function that contains an ELF virtual address. Symbols without a size match only up to the
 * next symbol. Returns false when there is none. */
bool symbol_index_find(const struct symbol_index *index, uint64_t address, struct symbol *ret);
