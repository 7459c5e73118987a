/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `top` shows: a profile of one interval and a question about it become a table of rows. Nothing
 * here knows of terminals, time or where profiles come from.
 *
 * A question keeps its meaning from one profile to the next: functions, threads and stacks are named in
 * it by what they are, not by where they stand in a profile.
 */
#pragma once

#include "profile/report.h"

enum top_view {
	TOP_FUNCTIONS,
	TOP_PROCESSES,
	TOP_THREADS,
	TOP_CONTAINERS,
	TOP_STACKS, /* distinct ones, whoever ran them */
	TOP_VIEW_MAX
};

enum top_order { TOP_BY_SELF, TOP_BY_TOTAL, TOP_BY_NAME, TOP_ORDER_MAX };

/* "functions", "self". */
extern const char *const top_view_names[TOP_VIEW_MAX], *const top_order_names[TOP_ORDER_MAX];

/* Which samples count. Of a process: its pid; of a thread: its tid; of a container: the hash of its id
 * (top_container_key()). TOP_FUNCTIONS: all. */
struct top_scope {
	enum top_view kind;
	uint64_t id;
};

struct top_question {
	enum top_view view;
	enum top_order order;
	const char *filter; /* part of a name, whatever the case; NULL or "": everything */
	struct top_scope scope;
	const char *function; /* TOP_FUNCTIONS: the neighbours of this one; NULL: all functions */
	uint8_t function_type; /* enum frame_type */
	uint64_t stack; /* TOP_STACKS: the frames of this one; 0: all stacks */
};

/* Where a row stands around the function that was asked for. */
enum top_side { TOP_PLAIN, TOP_CALLER, TOP_MIDDLE, TOP_CALLEE };

struct top_row {
	char *name;   /* function, executable, thread or container; the stack's frames from the leaf */
	char *detail; /* process of a thread; NULL: none */
	char *hottest; /* of processes, threads and containers: the function with most own time; or NULL */
	uint64_t id; /* pid, tid, key of a container or of a stack; 0: none */
	uint8_t type; /* enum frame_type, of functions and frames; of stacks, the leaf's */
	enum top_side side;
	/* Functions: without and with what they called. Processes, threads and containers: time in user
	 * code, and all. Stacks: both the same. Neighbours: what flows to or from the middle. */
	int64_t self, total;
	uint32_t node; /* of the table's tree, of a stack and of a frame; else CALL_TREE_NONE */
};

struct top_table {
	ARRAY(struct top_row) rows;
	struct call_tree *tree; /* of the samples in the scope; NULL where rows need none */
	int64_t total;		/* of the samples in the scope */
	size_t unfiltered;	/* rows before the filter */
};

/* Builds the rows, in order. Returns 0, -ENOENT when what was asked for is not in this profile (the table is
 * empty then), -EINVAL for a profile without values, or -ENOMEM. The caller frees in every case. */
int top_table_build(const struct profile *profile, const struct top_question *question,
		    struct top_table *ret);

void top_table_free(struct top_table *table);

/* The same for every process with this container. */
uint64_t top_container_key(const char *container_id);

/* For top_groups.c: appends a row and takes its texts, or frees them and returns -ENOMEM. */
int top_table_add(struct top_table *table, struct top_row *row);

/* Rows of the processes, threads or containers; unordered. Returns 0 or -ENOMEM. */
int top_groups_build(const struct profile *profile, size_t value, enum top_view view,
		     struct top_table *table);

/* Who ran a sample, as far as its labels say. */
struct top_origin {
	uint64_t pid, tid;
	const char *process, *thread, *container; /* NULL: unknown */
};
void top_origin_read(const struct profile *profile, const struct profile_sample *sample,
		     struct top_origin *ret);

/* The key of a sample's row in a view of processes, threads or containers. */
uint64_t top_origin_key(const struct top_origin *origin, enum top_view view);
