/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a flow, for the files unwind_flow*.c alone. */
#pragma once

#include "binary/unwind_flow.h"

enum flow_mark {
	MARK_START = 1,	  /* a certain one */
	MARK_POSSIBLE = 2,
	MARK_NO_RETURN = 4, /* a call after which nothing follows */
	MARK_NEVER = 8,	    /* a function without a way out */
	MARK_RETURNS = 16,  /* a function that returns */
};

static inline bool flow_has_mark(const struct flow *flow, uint64_t address, enum flow_mark mark)
{
	const struct code_stretch *code = code_map_at(&flow->code, address);
	return code && (flow->marks[code_position(code, address)] & mark);
}

/* Is it one of the few elsewhere that are known by name? */
static inline bool flow_never_returns_by_name(const struct flow *flow, uint64_t address)
{
	for (size_t i = 0; i < flow->never.count; i++)
		if (flow->never.items[i] == address)
			return true;
	return false;
}

static inline bool flow_never_returns(const struct flow *flow, uint64_t address)
{
	return flow_has_mark(flow, address, MARK_NEVER) || flow_never_returns_by_name(flow, address);
}

/* ---- unwind_flow_walk.c */

/* Walks all ways through the function at flow->start: its steps are added behind flow->first, its ways out counted.
 * Ends early with flow->wrong when it contradicts itself, which flow->culprit may be to blame for. Returns 0 or
 * -ENOMEM. */
int flow_walk(struct flow *flow);

/* ---- unwind_flow_proof.c */

/* Finds the steps of the function, from flow->first on, that lead to where the height is known by itself. */
void flow_prove(struct flow *flow);
