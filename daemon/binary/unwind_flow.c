/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Function after function, each walked alone (unwind_flow_walk.c). What one is found to be (it returns, never does, or
 * is no function) changes what its callers are: these are followed again. Of a function that contradicts itself nothing
 * is said at all.
 *
 * That calls come back is the one assumption: behind a call that does not may be anything, such as the
 * next function, or a case of a switch. Three things guard against it. Functions that never return are
 * known by name or by having no way out. A contradiction is first laid on the last call before it: the
 * function is followed again without the way behind that call; this takes ways away and adds none, so
 * what is left is no less true. And what was reached only behind calls has to be proved (unwind_flow_proof.c).
 *
 * Work is bounded by a budget of steps, whatever the code.
 */
#include "binary/unwind_flow_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ATTEMPTS 64 /* calls that do not return, in one function */
#define STEPS_PER_BYTE 1 /* of code, in a pass; a fifth is usual */
#define MAX_PASSES 3 /* over all functions: each finds callers of functions that do not return */
#define MAX_NEVER 32

int flow_begin(struct flow *flow)
{
	flow->at = calloc(flow->code.size + 1UL, sizeof(*flow->at));
	flow->decoded = calloc(flow->code.size + 1UL, sizeof(*flow->decoded));
	flow->marks = calloc(flow->code.size + 1UL, sizeof(*flow->marks));
	return flow->at && flow->decoded && flow->marks ? code_map_index(&flow->code) : -ENOMEM;
}

void flow_free(struct flow *flow)
{
	code_map_free(&flow->code);
	array_free(&flow->steps);
	array_free(&flow->instructions);
	array_free(&flow->certain);
	array_free(&flow->possible);
	array_free(&flow->waiting);
	array_free(&flow->never);
	free(flow->at);
	free(flow->decoded);
	free(flow->marks);
	flow->at = flow->decoded = NULL;
	flow->marks = NULL;
}

bool flow_has(const struct flow *flow, uint64_t address)
{
	return code_map_at(&flow->code, address);
}

int flow_add_start(struct flow *flow, uint64_t address, bool certain)
{
	const struct code_stretch *code = code_map_at(&flow->code, address);
	uint8_t mark = certain ? MARK_START : MARK_POSSIBLE;
	if (!code)
		return 0;
	uint8_t *marks = &flow->marks[code_position(code, address)];
	if (*marks & mark)
		return 0;
	*marks |= mark;
	return certain ? array_add(&flow->certain, address) : array_add(&flow->possible, address);
}

int flow_add_never(struct flow *flow, uint64_t address)
{
	return flow->never.count < MAX_NEVER ? array_add(&flow->never, address) : 0;
}

struct unwind_rule flow_rule(const struct flow_step *step)
{
	if (!step->sure && !step->proved)
		return (struct unwind_rule){.kind = RULE_NONE};
	return frame_rule(&step->frame);
}

static void forget_function(struct flow *flow)
{
	for (size_t i = flow->first; i < flow->steps.count; i++)
		flow->at[flow->steps.items[i].position] = 0;
	flow->steps.count = flow->first;
	flow->waiting.count = 0;
}

/* What is no function calls none. */
static void forget_calls(struct flow *flow, size_t count)
{
	for (size_t i = count; i < flow->certain.count; i++) {
		uint64_t start = flow->certain.items[i];
		flow->marks[code_position(code_map_at(&flow->code, start), start)] &= ~MARK_START;
	}
	flow->certain.count = MIN_OF(count, flow->certain.count);
}

/* Callers want to know; those followed already are followed again. */
static void note_ends(struct flow *flow)
{
	uint8_t *marks = &flow->marks[code_position(code_map_at(&flow->code, flow->start), flow->start)];
	uint8_t mark = flow->returns ? MARK_RETURNS : flow->exits ? 0 : MARK_NEVER;
	flow->news += (*marks & mark) != mark;
	*marks |= mark;
}

/* A function that never returns proves nothing of the stack; its beginning must do. */
static bool begins_as_function(const struct flow *flow)
{
	const struct code_stretch *code = code_map_at(&flow->code, flow->start);
	uint64_t skip = flow->start - code->address;
	struct x86_instruction i = x86_decode(code->bytes + skip, code->size - skip, flow->start);
	return !(flow->start & 15) &&
	       (i.effect == X86_PUSH_FP || (i.effect == X86_ADD_SP && i.value < 0));
}

static int follow_function(struct flow *flow, uint64_t start, bool certain)
{
	size_t calls = flow->certain.count;
	flow->first = flow->steps.count;
	flow->start = start;
	for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		int r = flow_walk(flow);
		if (r < 0)
			return r;
		if (!flow->wrong && (certain || flow->returns ||
				     (!flow->exits && begins_as_function(flow)))) {
			note_ends(flow);
			flow_prove(flow);
			return 0;
		}
		forget_function(flow);
		if (!flow->culprit)
			break;
		flow->marks[flow->culprit - 1] |= MARK_NO_RETURN;
	}
	if (!certain)
		forget_calls(flow, calls);
	return 0;
}

/* The calls found in a function are followed before any start that is only possible. */
static int follow_all(struct flow *flow)
{
	size_t certain = 0, possible = 0;
	int r = 0;
	flow->news = 0;
	flow->budget = (uint64_t)flow->code.size * STEPS_PER_BYTE;
	while (r == 0) {
		if (certain < flow->certain.count) {
			r = follow_function(flow, flow->certain.items[certain++], true);
			continue;
		}
		if (possible == flow->possible.count)
			break;
		uint64_t start = flow->possible.items[possible++];
		if (!flow->at[code_position(code_map_at(&flow->code, start), start)])
			r = follow_function(flow, start, false);
	}
	return r;
}

int flow_follow(struct flow *flow)
{
	int r = follow_all(flow);
	for (int pass = 1; r == 0 && pass < MAX_PASSES && flow->news; pass++) {
		flow->first = 0;
		forget_function(flow); /* all of them */
		r = follow_all(flow);
	}
	return r;
}

int flow_sort(struct flow *flow)
{
	struct flow_step *sorted = malloc(MAX_OF(flow->steps.count, 1u) * sizeof(*sorted));
	size_t count = 0;
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < flow->code.stretches.count; i++) {
		const struct code_stretch *code = &flow->code.stretches.items[i];
		for (uint32_t position = code->position; position < code->position + code->size; position++)
			if (flow->at[position])
				sorted[count++] = flow->steps.items[flow->at[position] - 1];
	}
	free(flow->steps.items);
	flow->steps.items = sorted;
	flow->steps.capacity = flow->steps.count;
	return 0;
}
