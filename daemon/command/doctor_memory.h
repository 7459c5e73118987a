/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bolometer doctor --memory PID`: which allocators a process has, where an allocation profile would look at
 * them, how often they are called, and what that would cost. Three steps: read, count, judge; and the words.
 */
#pragma once

#include "base/array.h"
#include "base/text.h"
#include "binary/allocator.h"
#include "collect/uprobe_trials.h"

/* A file of the process that has an allocator. */
struct memory_file {
	char *path; /* as the process sees it */
	int file;
	struct text bytes; /* the artifact */
	struct allocator_table table;
	uint32_t first_count; /* of its probes, among the counts */
};

/* How an allocation profile would be taken. */
enum memory_tier {
	TIER_GROWTH,  /* page faults only: no allocator, or no way to probe it at a bearable cost */
	TIER_SAMPLER, /* the allocator's own sampler */
	TIER_ALWAYS,  /* each call, all the time */
	TIER_WINDOWS, /* each call, in short windows */
};

struct doctor_memory {
	uint32_t pid;
	char comm[16];
	const char *runtime; /* a language runtime with a heap of its own; NULL: none seen */
	double budget;	     /* share of the process's own CPU time */
	ARRAY(struct memory_file) files;
	uint32_t probe_count; /* of all files */
	size_t unread;	      /* files that could not be read */
	struct uprobe_trials trials;

	int count_error;  /* 0: counted; -errno */
	uint64_t *counts; /* of each probe */
	uint64_t counted_ns; /* how long */
	double cpus; /* the process's CPU time over the same time */

	double cost_share; /* of the process's CPU time with all probes on all the time; -1: unknown */
	enum memory_tier tier;
};

/* Reads the process and tries the kernel. Returns 0, -ESRCH, or -errno; free in any case. */
int doctor_memory_read(uint32_t pid, struct doctor_memory *ret);
void doctor_memory_free(struct doctor_memory *memory);

/* Counts calls for a moment that is longer the fewer there are: the process is slowed for 2 ms at most
 * (and while the probes come and go), then up to 1 s, in which probes take less than a hundredth of it. */
void doctor_memory_count(struct doctor_memory *memory);

/* Decides the tier. */
void doctor_memory_judge(struct doctor_memory *memory);

void doctor_memory_write_text(const struct doctor_memory *memory, struct text *out);
void doctor_memory_write_json(const struct doctor_memory *memory, struct text *out);
