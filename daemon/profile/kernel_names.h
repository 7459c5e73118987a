/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kernel addresses. What the cache keeps will do for the kernel and its modules; what is generated while the
 * kernel runs, the side-band tells of. For the rest the kernel itself is asked, in a thread, since its answer takes
 * long: for BPF programs that were there before, then for all it has, that once and again when it was a while ago, as
 * modules come and go. Until it has answered an address has no name.
 */
#pragma once

#include "base/array.h"
#include "base/offload.h"
#include "binary/kernel_symbols_cache.h"
#include "collect/generated_code.h"
#include "profile/kernel_reading.h"
#include "profile/known_names.h"

/* Zero-initialised but for the first three it has nothing yet. */
struct kernel_names {
	struct artifact_cache *cache; /* somebody else's; NULL: none, or it is damaged */
	struct offload *offload;      /* somebody else's: must not end anything once this is freed */
	struct generated_code *code;  /* somebody else's; what is learned of it is added */
	const struct kernel_files *files; /* NULL: the machine's */
	bool is_begun;	  /* the cache was asked, or is being */
	bool has_symbols; /* those below are valid */
	struct kernel_symbols symbols; /* of the kernel and its modules */
	struct known_names known;      /* of those in the cache */
	uint32_t last_program;	       /* the newest BPF program that was asked for, */
	uint32_t doubts;	       /* … since the last doubt of `code` */
	struct kernel_addresses unknown; /* the kernel will be asked for them */
	bool is_reading;   /* or asking the cache */
	bool is_warned;	   /* that there are no names */
	uint64_t whole_ns; /* when it was last asked for all it has, monotonic; 0: never */
};

/* Is the list being read for the first time? Until then hardly anything of the kernel has a name. */
bool kernel_names_are_awaited(const struct kernel_names *names);

/* Has the name of an address found, so that it is known a moment later. What fails is logged once. */
void kernel_names_prepare(struct kernel_names *names, uint64_t address);

/* The name of what was at the address at that time, CLOCK_MONOTONIC. Returns false when there is none, or none yet. The
 * strings are valid until the next call; the module is "" for the kernel itself. */
bool kernel_names_find(struct kernel_names *names, uint64_t address, uint64_t time_ns, const char **ret_name,
		       const char **ret_module);

/* If the cache's entry was truncated meanwhile the kernel is asked anew; returns whether that is so. */
bool kernel_names_replace_damaged(struct kernel_names *names);

/* What is held of names that come again, bytes. */
size_t kernel_names_bytes(const struct kernel_names *names);

/* All but the cache. */
void kernel_names_free(struct kernel_names *names);
