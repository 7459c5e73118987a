/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the frames of an aggregate. Symbol indices and DWARF answers come from the parser child;
 * they are asked for as soon as a binary is hit, so that little is left to do when a profile is taken.
 *
 * All of it is bounded: past the limit names are refused, counted, until symbolizer_make_room().
 */
#pragma once

#include "binary/binary_store.h"
#include "binary/line_answers.h"
#include "collect/binaries.h"

struct symbolizer;
struct generated_code;

struct symbolizer_options {
	bool inlines; /* inlined functions as frames of their own */
	uint64_t max_bytes; /* of names and lines held; 0: SYMBOLIZER_MAX_BYTES */
};

#define SYMBOLIZER_MAX_BYTES ((uint64_t)512 << 20)

struct symbolizer_statistics {
	uint64_t bytes;	    /* of names and lines held now */
	uint64_t refused;   /* binaries whose names, or some, found no room */
	uint64_t forgotten; /* binaries whose names went, to make room or with the binary */
	struct answer_durations answers; /* to what was asked of binaries */
};

/* One function at an address, innermost first. Strings live until the next address is looked up. */
struct symbol_frame {
	const char *name;	 /* for people; never "" */
	const char *system_name; /* as the linker knows it */
	const char *file;	 /* "" when unknown */
	uint32_t line, column, start_line;
};

/* `store` and `code`, the kernel's, stay the caller's and must outlive it. Returns 0 or -ENOMEM. */
int symbolizer_new(struct binary_store *store, struct generated_code *code, const struct symbolizer_options *options,
		   struct symbolizer **ret);
/* Accepts NULL, returns NULL. The binaries are still there, and the store answers nothing any more: what is under way
 * would be answered to what is gone. */
struct symbolizer *symbolizer_free(struct symbolizer *symbolizer);

/* Asks for the names of a binary that samples run through, unless done before. */
void symbolizer_prepare(struct symbolizer *symbolizer, struct binary *binary);

/* Collects an ELF address of a binary for which lines will be wanted. Returns 0, also where there are none to be had, or
 * -ENOMEM. */
int symbolizer_want_lines(struct symbolizer *symbolizer, struct binary *binary, uint64_t address);

/* Asks for the lines of addresses wanted and not yet asked for: `all`, or where it is worth it by
 * now. */
void symbolizer_request_lines(struct symbolizer *symbolizer, bool all);

/* Names are read where they lie in the cache. What somebody has truncated there since is counted as damaged and asked
 * for again, to be held in memory from then on. Returns whether an answer is awaited. */
bool symbolizer_replace_damaged(struct symbolizer *symbolizer);

/* Fills at most `capacity` frames for an ELF address of a binary. Returns how many, 0: no name. */
size_t symbolizer_find(struct symbolizer *symbolizer, struct binary *binary, uint64_t address,
		       struct symbol_frame *frames, size_t capacity);

/* Is it time to make room? */
bool symbolizer_is_crowded(const struct symbolizer *symbolizer);

/* Forgets the names of binaries that were not used in this age (binaries_mark_used()), and those that were
 * refused some, to be asked for anew with symbolizer_prepare(). */
void symbolizer_make_room(struct symbolizer *symbolizer, uint32_t age);

/* Forgets the names made for people of mangled ones, of whatever binary: they are made again when they are needed. */
void symbolizer_forget_texts(struct symbolizer *symbolizer);

/* Forgets all of a binary, which is going. False: an answer for it is under way, ask again later. */
bool symbolizer_forget(struct symbolizer *symbolizer, struct binary *binary);

/* Counts since it was made. */
void symbolizer_get_statistics(const struct symbolizer *symbolizer,
			       struct symbolizer_statistics *ret);

/* Has a name found for a kernel address that a sample had, by the time a profile is taken. */
void symbolizer_prepare_kernel(struct symbolizer *symbolizer, uint64_t address);

/* Are the kernel's names being read for the first time? */
bool symbolizer_awaits_kernel(const struct symbolizer *symbolizer);

/* Name of a kernel address (and its module, "" for the kernel itself) as it was at a time (CLOCK_MONOTONIC), valid
 * until the next call. False: none, or it is not known yet. */
bool symbolizer_find_kernel(struct symbolizer *symbolizer, uint64_t address, uint64_t time_ns,
			    struct symbol_frame *frame, const char **ret_module);

/* Which code a kernel address meant at that time: a number for each that was there, 0 where there was but one. */
uint64_t symbolizer_kernel_code(const struct symbolizer *symbolizer, uint64_t address, uint64_t time_ns);
