/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was reached only behind calls counts only if a way leads from it to where the height is known by itself: a
 * return, a call of a function that is known by name to end the thread or the program, with the stack aligned as the
 * ABI asks, or code that is reached without any call.
 */
#include "binary/unwind_flow_state.h"

#define STACK_ALIGNMENT 16 /* psABI 3.2.2: of the CFA, and of SP at each call */
#define MAX_ROUNDS 8

static const struct flow_step *step_at(const struct flow *flow, uint64_t address)
{
	const struct code_stretch *code = code_map_at(&flow->code, address);
	uint32_t index = code ? flow->at[code_position(code, address)] : 0;
	return index > flow->first ? &flow->steps.items[index - 1] : NULL;
}

static bool leads_to_proof(const struct flow *flow, const struct flow_step *step)
{
	/* What could not be followed for want of memory was not decoded. */
	struct x86_instruction i = flow->instructions.items[flow->decoded[step->position] - 1];
	bool goes_on = i.effect != X86_JUMP && i.effect != X86_STOP && i.effect != X86_RETURN;
	bool call = i.effect == X86_CALL;
	/* A thread's start ends in pthread_exit(): the ABI's alignment at the call vouches for the height. */
	if (call && i.has_target && flow_never_returns_by_name(flow, i.target))
		return step->frame.height_known && step->frame.height % STACK_ALIGNMENT == 0;
	if (call && ((flow->marks[step->position] & MARK_NO_RETURN) ||
		     (i.has_target && flow_never_returns(flow, i.target))))
		return false;
	const struct flow_step *next = goes_on ? step_at(flow, step->address + i.length) : NULL;
	const struct flow_step *target =
		i.effect == X86_JUMP || i.effect == X86_BRANCH ? step_at(flow, i.target) : NULL;
	return (next && (next->proved || (next->sure && !call))) ||
	       (target && (target->proved || target->sure));
}

/* Steps come mostly in the order they are executed in: from the last to the first few rounds do. */
void flow_prove(struct flow *flow)
{
	bool changed = true;
	for (int round = 0; round < MAX_ROUNDS && changed; round++) {
		changed = false;
		for (size_t i = flow->steps.count; i > flow->first; i--) {
			struct flow_step *step = &flow->steps.items[i - 1];
			if (step->sure || step->proved || !leads_to_proof(flow, step))
				continue;
			step->proved = changed = true;
		}
	}
}
