/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs on allocators keep in the kernel (bpf/heap.bpf.h), as the daemon sees it: the totals of
 * each place, estimated from the samples; how full the tables are, and the interval between two samples, which
 * is raised before one overflows; and the places of processes that have ended, which are taken out of
 * the kernel.
 */
#pragma once

#include "base/array.h"
#include "collect/programs.h"

/* Of one place. A variance is that of the value before it, estimated from the same samples; 0: exact. */
struct heap_total {
	struct heap_site_key key;
	double objects, object_variance; /* allocated since the probes were set */
	double bytes, byte_variance;
	double held_objects, held_object_variance; /* of them, alive */
	double held_bytes, held_byte_variance;
	uint64_t samples, held_samples;
};

struct heap_totals {
	ARRAY(struct heap_total) list;
	uint64_t interval; /* bytes between two samples now; HEAP_EXACT_INTERVAL: everything is taken */
	uint64_t first_interval; /* at the start */
	uint64_t raised;	 /* how often it was raised since */
	uint64_t followed;	 /* objects alive of processes that run */
};

struct heap_table {
	const struct programs *programs;
	uint64_t interval, first_interval, raised;
	uint32_t blocks, sites;	   /* the tables' sizes */
	uint64_t site_count;	   /* when it was last looked at */
	ARRAY(struct heap_total) ended; /* of processes, and of programs that another one followed */
	uint64_t ended_lost;	   /* places for which there was no memory */
};

void heap_table_init(struct heap_table *table, const struct programs *programs);
void heap_table_deinit(struct heap_table *table);

/* Raises the interval when a table fills up. Call it several times a second. */
void heap_table_regulate(struct heap_table *table);

/* Takes what belongs to ended programs out of the kernel. Call it every few seconds. */
void heap_table_expire(struct heap_table *table);

/* The totals of all places. Free with array_free(&ret->list). Returns 0 or -errno. */
int heap_table_read(const struct heap_table *table, struct heap_totals *ret);
