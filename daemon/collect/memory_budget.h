/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller of the memory budget: what is given up so that profiling stays under so many bytes. As
 * collect/budget.h it has no clock and no kernel in it: readings go in, a lever comes out.
 *
 * Theory. Above nine tenths of the limit one lever is moved a step, above the limit one after the other at once (the
 * caller reads again), in a stated order, until it is enough: what
 * loses nothing first, what must be read or sampled anew last. Each frees what it can at once, so the next reading
 * shows whether that was enough. When all were moved in a row and the limit is still exceeded, it cannot be kept: that
 * is said, and some steps pass before they are tried again, since what they drop has to be fetched again.
 */
#pragma once

#include "base/attributes.h"

#define MEMORY_BUDGET_STEP_NS 2000000000ULL
#define MEMORY_BUDGET_PAUSE 15 /* steps, after all levers were moved */
#define MEMORY_BUDGET_LOWEST (8ULL << 20)

/* LEVER(id, name, what it gives up), in their order. */
#define MEMORY_LEVERS(LEVER)                                                                          \
	LEVER(HEAP, "free_heap", "freed blocks that the C library keeps for later")                   \
	LEVER(NAMES, "names", "names and lines of binaries that no kept stack needs")                 \
	LEVER(TABLES, "tables", "unwind tables of binaries that no kept stack needs")                 \
	LEVER(STACKS, "stacks", "the open interval, handed over early, and stacks not met since")

enum memory_lever {
#define MEMORY_LEVER_ID(id, name, what) MEMORY_LEVER_##id,
	MEMORY_LEVERS(MEMORY_LEVER_ID)
#undef MEMORY_LEVER_ID
	MEMORY_LEVER_COUNT, /* none */
};

struct memory_budget {
	uint64_t limit; /* bytes; 0: there is none */
	uint64_t bytes; /* at the last step */
	uint64_t peak;	/* of all steps */
	uint64_t moved[MEMORY_LEVER_COUNT]; /* how often each was */
	enum memory_lever next;
	unsigned pause; /* steps */
	bool infeasible;
};

/* Takes what all our processes and maps have now, bytes; returns the lever to move, or MEMORY_LEVER_COUNT. */
enum memory_lever memory_budget_step(struct memory_budget *budget, uint64_t bytes);

const char *memory_lever_name(enum memory_lever lever);
