/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs on allocators keep in the kernel (bpf/heap.bpf.h), as the daemon sees it: the totals of
 * each place, estimated from the samples; how full the tables are, and the interval between two samples, which
 * is raised before one overflows and lowered again when there is room; and the places of processes that have ended, which are taken out of
 * the kernel.
 */
#pragma once

#include "collect/heap_totals.h"
#include "collect/programs.h"

struct heap_table {
	const struct programs *programs;
	uint64_t interval, first_interval, raised;
	uint32_t blocks, sites;	   /* the tables' sizes */
	uint64_t site_count;	   /* when it was last looked at */
	uint64_t roomy_since_ns;   /* CLOCK_MONOTONIC; 0: not so */
	uint64_t unsettled; /* times that heap_table_fold() could not read all */
	/* Of processes, and of programs that another one followed, until heap_table_forget_ended() */
	struct heap_ended ended;
	/* Does a process with that number run that started then? NULL: whether any has it is asked. */
	bool (*runs)(void *userdata, uint32_t pid, uint64_t process_start);
	void *runs_userdata;
	/* Makes of what is in the kernel what it stands for, before it becomes final. NULL: that is the same. */
	void (*scale)(void *userdata, struct heap_total *total);
	void *userdata;
};

void heap_table_init(struct heap_table *table, const struct programs *programs);
void heap_table_deinit(struct heap_table *table);

/* Raises the interval when a table fills up. Call it several times a second. */
void heap_table_regulate(struct heap_table *table);

/* Takes what belongs to ended programs out of the kernel, and lowers a raised interval by half when the tables have been
 * all but empty for a minute. Call it every few seconds. `now_ns`: CLOCK_MONOTONIC. */
void heap_table_expire(struct heap_table *table, uint64_t now_ns);

/* Makes the totals of the process with that number that started then (pid 0: of all) final. What it holds is not known
 * any more: its probes go, or have just come. *ret: what has become final; free with array_free(&ret->list). NULL: that is
 * not asked for. */
void heap_table_fold(struct heap_table *table, uint32_t pid, uint64_t process_start, struct heap_totals *ret);

typedef int (*heap_block_callback)(void *userdata, const struct heap_block_key *key,
				   const struct heap_block *block);

/* Calls for each sampled object alive. Any thread may. Returns 0, what `callback` returned below 0, or -errno. */
int heap_table_each_block(const struct programs *programs, heap_block_callback callback, void *userdata);

/* Changes one that is there. Returns 0 or -ENOENT. */
int heap_table_change_block(const struct programs *programs, const struct heap_block_key *key,
			    const struct heap_block *block);

/* How many objects alive can be followed. */
size_t heap_table_room(const struct programs *programs);

/* Forgets one. */
void heap_table_remove_block(const struct programs *programs, const struct heap_block_key *key);

/* Gives up what has become final: it was told. From then on totals are those of what the kernel has. */
void heap_table_forget_ended(struct heap_table *table);

/* The totals of all places. Free with array_free(&ret->list). Returns 0 or -errno. */
int heap_table_read(const struct heap_table *table, struct heap_totals *ret);
