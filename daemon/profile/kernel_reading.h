/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be asked of the kernel about its code, as work for a thread (base/offload.h): a system call or two for
 * each BPF program, and where these do not do, all of /proc/kallsyms, which takes the kernel 100 ms and more to print.
 * And what of it is in the cache, megabytes, on its way there and back.
 */
#pragma once

#include "base/text.h"
#include "binary/kernel_symbols_cache.h"
#include "collect/generated_code.h"

struct kernel_addresses {
	uint64_t *items; /* as ARRAY() has it */
	size_t count, capacity;
};

struct kernel_reading {
	/* What is asked for. */
	struct kernel_files files;
	uint32_t last_program; /* programs newer than this one; that of the newest that was read */
	bool whole;	       /* kallsyms in any case */
	bool may_be_whole;     /* if an address is in no program that is new */
	bool packed;	       /* it will be stored */
	struct kernel_addresses addresses; /* which have no names yet */
	uint64_t start_ns;		   /* when that was, CLOCK_MONOTONIC */
	/* The answer; its owner may take from it what it keeps. */
	struct generated_code code;
	bool was_whole;
	int error;		       /* of kallsyms, 0 or -errno */
	struct kernel_symbols symbols; /* valid with was_whole and without an error: without the generated ones */
	struct text pack;	       /* empty: they cannot be stored */
};

/* Touches nothing else. */
void kernel_reading_run(struct kernel_reading *reading);

/* Accepts NULL. */
void kernel_reading_free(struct kernel_reading *reading);

/* The cache's entry of the list. */
struct kernel_entry {
	struct artifact_cache *cache; /* a reference of its own */
	struct kernel_files files;
	struct text pack;    /* to be stored */
	uint64_t reading_ns; /* when the list was read, CLOCK_MONOTONIC */
	/* The answer; its owner may take it. */
	int error;
	struct kernel_symbols symbols; /* where they lie; valid without an error */
};

/* NULL: out of memory. */
struct kernel_entry *kernel_entry_new(struct artifact_cache *cache, const struct kernel_files *files);

/* Opens it, or stores the pack and opens it then. Each touches nothing else, and blocks for the disk. */
void kernel_entry_open(struct kernel_entry *entry);
void kernel_entry_store(struct kernel_entry *entry);
void kernel_entry_free(struct kernel_entry *entry);
