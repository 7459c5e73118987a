/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function is entered with CFA = SP + 8 and the caller's frame pointer, and each instruction changes
 * that in a known way, or the height is not known from there on. Ways that meet must agree, returns and
 * jumps to other functions must find the stack as it was at the start.
 */
#include "binary/unwind_flow_state.h"

#include <errno.h>
#include <stdlib.h>

static void contradiction(struct flow *flow, uint32_t call)
{
	if (!flow->wrong)
		flow->culprit = call;
	flow->wrong = true;
}

/* The first way that leads to an instruction. */
static int begin_step(struct flow *flow, const struct flow_step *step)
{
	if (array_add(&flow->steps, *step) < 0)
		return -ENOMEM;
	flow->at[step->position] = flow->steps.count;
	return array_add(&flow->waiting, flow->at[step->position] - 1);
}

/* Another way leads to a step of this function. What both ways agree on stays; where that is less than before, or the
 * step is newly sure, what follows it is walked again. */
static int meet(struct flow *flow, uint32_t index, const struct flow_step *way)
{
	struct flow_step *step = &flow->steps.items[index];
	bool again = way->sure && !step->sure;
	step->sure |= way->sure;
	if (!same_frame(&step->frame, &way->frame)) {
		if (step->frame.height_known && way->frame.height_known &&
		    step->frame.height != way->frame.height) {
			contradiction(flow, step->only_by_call && !way->only_by_call ? step->after_call
										     : way->after_call);
			return 0;
		}
		struct flow_frame common = common_frame(&step->frame, &way->frame);
		again |= !same_frame(&common, &step->frame);
		step->frame = common;
	}
	step->only_by_call &= way->only_by_call;
	return again ? array_add(&flow->waiting, index) : 0;
}

/* From the instruction `from` the one at `address` is reached with this frame. */
static int reach(struct flow *flow, const struct flow_step *from, uint64_t address,
		 const struct flow_frame *frame, bool by_call)
{
	const struct code_stretch *code = code_map_at(&flow->code, address);
	if (!code) {
		flow->exits += !by_call;
		return 0;
	}
	uint32_t position = code_position(code, address), index = flow->at[position];
	struct flow_step way = {.address = address,
				.position = position,
				.after_call = by_call ? from->position + 1 : from ? from->after_call : 0,
				.frame = *frame,
				.only_by_call = by_call,
				.sure = !from || (from->sure && !by_call)};
	if (!index)
		return begin_step(flow, &way);
	if (index - 1 >= flow->first)
		return meet(flow, index - 1, &way);
	flow->exits++; /* into another function */
	if (!same_frame(&flow->steps.items[index - 1].frame, frame))
		contradiction(flow, way.after_call);
	return 0;
}

/* The function is left: is the stack as its caller knows it? True when it surely is. */
static bool leave_function(struct flow *flow, const struct flow_step *step)
{
	const struct flow_frame *f = &step->frame;
	flow->exits++;
	if (f->height_known && (f->height != 8 || f->fp != FLOW_FP_CALLERS))
		contradiction(flow, step->after_call);
	if (flow->wrong || !f->height_known)
		return false;
	flow->steps.items[flow->at[step->position] - 1].proved = true;
	return true;
}

static bool is_other_start(const struct flow *flow, uint64_t address)
{
	return address != flow->start && flow_has_mark(flow, address, MARK_START);
}

static int follow_jump(struct flow *flow, const struct flow_step *step, uint64_t target)
{
	if (!is_other_start(flow, target))
		return reach(flow, step, target, &step->frame, false);
	flow->returns += leave_function(flow, step) && flow_has_mark(flow, target, MARK_RETURNS);
	return 0;
}

static int follow_next(struct flow *flow, const struct flow_step *step, struct flow_frame *frame,
		       bool by_call)
{
	uint64_t next = step->address + step->length;
	if (is_other_start(flow, next)) {
		if (!by_call)
			leave_function(flow, step);
		return 0;
	}
	return reach(flow, step, next, frame, by_call);
}

static int follow_call(struct flow *flow, const struct flow_step *step,
		       const struct x86_instruction *i)
{
	struct flow_frame frame = step->frame;
	if (i->has_target && i->target == step->address + i->length) {
		frame_move_sp(&frame, -8); /* to find out where it runs */
		return follow_next(flow, step, &frame, false);
	}
	int r = i->has_target ? flow_add_start(flow, i->target, true) : 0;
	change_frame(&frame, i);
	if (r < 0 || (flow->marks[step->position] & MARK_NO_RETURN) ||
	    (i->has_target && flow_never_returns(flow, i->target)))
		return r;
	/* What a function returns to that is known to return is no guess. */
	bool guess = !i->has_target || !flow_has_mark(flow, i->target, MARK_RETURNS);
	return follow_next(flow, step, &frame, guess);
}

/* NULL: no memory */
static const struct x86_instruction *decode(struct flow *flow, const struct flow_step *step)
{
	uint32_t *index = &flow->decoded[step->position];
	if (*index)
		return &flow->instructions.items[*index - 1];
	const struct code_stretch *code = code_map_at(&flow->code, step->address);
	uint64_t skip = step->address - code->address;
	if (array_add(&flow->instructions,
		      x86_decode(code->bytes + skip, code->size - skip, step->address)) < 0)
		return NULL;
	*index = flow->instructions.count;
	return &flow->instructions.items[*index - 1];
}

static int follow_step(struct flow *flow, uint32_t index)
{
	struct flow_step step = flow->steps.items[index];
	flow->code.here = code_map_at(&flow->code, step.address);
	const struct x86_instruction *decoded = decode(flow, &step);
	if (!decoded)
		return -ENOMEM;
	struct x86_instruction i = *decoded;
	step.length = flow->steps.items[index].length = i.length;
	struct flow_frame frame = step.frame;
	int r = 0;
	switch (i.effect) {
	case X86_INVALID:
		contradiction(flow, step.after_call);
		return 0;
	case X86_STOP:
		return 0;
	case X86_RETURN:
		flow->returns += leave_function(flow, &step);
		return 0;
	case X86_JUMP:
		flow->exits += !i.has_target;
		return i.has_target ? follow_jump(flow, &step, i.target) : 0;
	case X86_BRANCH:
		r = follow_jump(flow, &step, i.target);
		return r < 0 ? r : follow_next(flow, &step, &frame, false);
	case X86_CALL:
		return follow_call(flow, &step, &i);
	}
	if (i.takes_address)
		r = flow_add_start(flow, i.target, false);
	change_frame(&frame, &i);
	return r < 0 ? r : follow_next(flow, &step, &frame, false);
}

int flow_walk(struct flow *flow)
{
	static const struct flow_frame entered = {.height = 8, .height_known = true};
	flow->returns = flow->exits = 0;
	flow->culprit = 0;
	flow->wrong = false;
	int r = reach(flow, NULL, flow->start, &entered, false);
	while (r == 0 && flow->waiting.count && !flow->wrong) {
		if (!flow->budget) {
			contradiction(flow, 0);
			break;
		}
		flow->budget--;
		r = follow_step(flow, flow->waiting.items[--flow->waiting.count]);
	}
	return r;
}
