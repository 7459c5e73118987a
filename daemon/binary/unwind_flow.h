/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stack heights found by following machine code from function starts: x86-64.
 */
#pragma once

#include "base/array.h"
#include "binary/code_map.h"
#include "binary/unwind_frame.h"

struct flow_step {
	uint64_t address;
	uint32_t position;
	uint32_t after_call; /* position + 1 of the last call before it on the first way here; 0: none */
	struct flow_frame frame; /* before the instruction */
	uint8_t length;
	bool only_by_call; /* reached by no other way than that call's return */
	bool sure;	   /* a way from the start leads here without a call's return */
	bool proved;	   /* a way leads from here to where the height is known by itself */
};

struct flow {
	struct code_map code; /* filled and ordered by the caller before flow_begin() */

	ARRAY(struct flow_step) steps; /* what was found, in no order */
	uint32_t *at;		       /* by position: index into `steps` + 1 */
	uint32_t *decoded;	       /* by position: index into `instructions` + 1 */
	ARRAY(struct x86_instruction) instructions; /* each decoded once, however often it is followed */
	uint8_t *marks;		       /* by position: enum flow_mark */
	ARRAY(uint64_t) certain;       /* starts to follow */
	ARRAY(uint64_t) possible;      /* addresses that are taken: maybe starts */
	ARRAY(uint32_t) waiting;       /* indices into `steps` */
	uint64_t budget;	       /* steps, all together */
	uint32_t first;		       /* step of the function at hand */
	uint64_t start;		       /* of it */
	uint32_t returns;	       /* seen in it, with the stack as at the start */
	uint32_t exits;		       /* other ways out of it */
	ARRAY(uint64_t) never;	       /* few functions elsewhere that do not return */
	uint32_t news;		       /* functions newly known to return, or not to */
	uint32_t culprit;	       /* the call that seems not to return: position + 1 */
	bool wrong;		       /* the function contradicts itself */
};

/* Once all code is there, which is indexed now. Returns 0 or -ENOMEM. Free with flow_free(), also after an error. */
int flow_begin(struct flow *flow);
void flow_free(struct flow *flow);

/* Is the address in code that was added? */
bool flow_has(const struct flow *flow, uint64_t address);

/* A function starts at `address` (of other code: nothing happens). A possible start counts only if the
 * code from there returns, and with the stack as it found it. Returns 0 or -ENOMEM. */
int flow_add_start(struct flow *flow, uint64_t address, bool certain);

/* The function at `address` of other code does not return, as abort() does not. Returns 0 or -ENOMEM. */
int flow_add_never(struct flow *flow, uint64_t address);

/* Follows all starts, and the calls found on the way. Returns 0 or -ENOMEM. */
int flow_follow(struct flow *flow);

/* Sorts the steps by address, after all is followed; then only they are of use. Returns 0 or -ENOMEM. */
int flow_sort(struct flow *flow);

/* How to get the caller's registers before a step; RULE_NONE when they are not all known. */
struct unwind_rule flow_rule(const struct flow_step *step);
