/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a symbolizer, for the files symbolizer*.c alone: symbolizer.c (room, and what a frame is called),
 * symbolizer_symbols.c (the symbol index and the debug file) and symbolizer_lines.c. Of each binary there is one object
 * here, which the symbolizer owns and the binary points to.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "binary/symbol_index.h"
#include "profile/debug_lookup.h"
#include "profile/demangled_names.h"
#include "profile/kernel_names.h"
#include "profile/known_functions.h"
#include "profile/symbolizer.h"

struct binary_names {
	struct symbolizer *owner;
	struct binary *binary;
	bool requested;	   /* the symbol index */
	bool has_index;
	struct symbol_index index; /* valid with has_index */
	struct known_functions functions; /* of the index, where that lies in the cache */
	char *index_bytes; /* its artifact; NULL: that is in the cache, or there is none */
	struct debug_search *search; /* NULL: ended */
	int debug_file, supplementary_file; /* descriptors or -1; the debug file is tried out first */
	bool symbols_answered;
	bool settled;	      /* it is known which files have the lines */
	bool lines_requested; /* before that */
	struct hash wanted; /* addresses already wanted */
	ARRAY(uint64_t) not_asked; /* of them, those to ask for */
	size_t asked;
	unsigned int line_requests; /* those of addresses */
	uint64_t waiting_since; /* monotonic ns; 0: nothing to ask for */
	char *line_bytes; /* the artifact; NULL: none yet */
	struct line_answers lines;
	unsigned int requests; /* under way: their answers come to this object */
	size_t position; /* in the symbolizer's list */
	uint64_t bytes; /* of all this, as the symbolizer has it in its sum */
	bool refused;	/* some of its names, for lack of room */
};

struct symbolizer {
	struct binary_store *store;
	struct symbolizer_options options;
	ARRAY(struct binary_names *) all;
	struct kernel_names kernel;
	bool cache_is_damaged; /* while it was read: answers are copied */
	struct demangled_names demangled;
	uint64_t bytes; /* of all names, without the demangled ones and the kernel's */
	struct symbolizer_statistics statistics;
};

/* ---- symbolizer.c */

/* To be called when what the object holds has changed. */
void names_account(struct binary_names *names);

/* May so many bytes more be held? Counts a refusal, for each binary once until there is room again. */
bool names_have_room(struct binary_names *names, uint64_t more);

/* Closes and frees the symbol index and what was read of it. */
void names_drop_index(struct binary_names *names);

/* ---- symbolizer_symbols.c */

/* Searches for the debug file, if one is wanted, and asks for the symbols; what comes of it is settled later. */
void names_start_search(struct binary_names *names);

/* Asks for the symbols with the files that are known now. */
void names_request_symbols(struct binary_names *names);

/* ---- symbolizer_lines.c */

/* Once it is settled which file has them: asks for the lines that the cache has. */
void names_read_lines(struct binary_names *names);

/* Likewise: asks for those of all addresses that were not asked for. */
void names_request_lines(struct binary_names *names);
