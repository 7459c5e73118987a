/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function is entered with CFA = SP + 8 and the caller's frame pointer, and each instruction changes
 * that in a known way, or the height is not known from there on. Ways that meet must agree, returns and
 * jumps to other functions must find the stack as it was at the start: otherwise nothing is said of the
 * whole function.
 *
 * That calls come back is the one assumption: behind a call that does not may be anything, such as the
 * next function, or a case of a switch. Three things guard against it. Functions that never return are
 * known by name or by having no way out. A contradiction is first laid on the last call before it: the
 * function is followed again without the way behind that call; this takes ways away and adds none, so
 * what is left is no less true. And what was reached only behind calls counts only if a way leads from it
 * to where the height is known by itself: a return, a call of a function that is known by name to end the
 * thread or the program, with the stack aligned as the ABI asks, or code that is reached without any call.
 *
 * Work is bounded by a budget of steps, whatever the code.
 */
#include "binary/unwind_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ATTEMPTS 64 /* calls that do not return, in one function */
#define STEPS_PER_BYTE 1 /* of code, in a pass; a fifth is usual */
#define MAX_PASSES 3 /* over all functions: each finds callers of functions that do not return */
#define MAX_NEVER 32
#define STACK_ALIGNMENT 16 /* psABI 3.2.2: of the CFA, and of SP at each call */
#define MAX_ROUNDS 8
#define LEAST_BLOCKS 256

enum flow_mark {
	MARK_START = 1,	  /* a certain one */
	MARK_POSSIBLE = 2,
	MARK_NO_RETURN = 4, /* a call after which nothing follows */
	MARK_NEVER = 8,	    /* a function without a way out */
	MARK_RETURNS = 16,  /* a function that returns */
};

int flow_add_code(struct flow *flow, uint64_t address, const unsigned char *bytes, uint64_t size)
{
	if (!size || !bytes)
		return 0;
	struct flow_code code = {address, size, flow->size, bytes};
	flow->too_much |= size > (uint64_t)flow->max_size - flow->size;
	if (!flow->too_much)
		flow->size += size;
	else if (size < flow->least_past_max)
		return 0;
	return array_add(&flow->code, code);
}

static uint64_t end_of(const struct flow_code *code)
{
	return code->address + code->size;
}

/* Where to look for the stretch that an address is in; the blocks are as small as their number allows. */
static int make_blocks(struct flow *flow)
{
	size_t count = flow->code.count;
	if (!count)
		return 0;
	flow->block_base = flow->code.items[0].address;
	flow->block_span = end_of(&flow->code.items[count - 1]) - flow->block_base;
	while (flow->block_span >> flow->block_shift > MAX_OF(2 * count, (size_t)LEAST_BLOCKS))
		flow->block_shift++;
	size_t blocks = (flow->block_span >> flow->block_shift) + 1, code = 0;
	flow->blocks = malloc(blocks * sizeof(*flow->blocks));
	if (!flow->blocks)
		return -ENOMEM;
	for (size_t i = 0; i < blocks; i++) {
		uint64_t start = (uint64_t)i << flow->block_shift;
		while (code < count - 1 && end_of(&flow->code.items[code]) - flow->block_base <= start)
			code++;
		flow->blocks[i] = code;
	}
	return 0;
}

int flow_begin(struct flow *flow)
{
	flow->at = calloc(flow->size + 1UL, sizeof(*flow->at));
	flow->decoded = calloc(flow->size + 1UL, sizeof(*flow->decoded));
	flow->marks = calloc(flow->size + 1UL, sizeof(*flow->marks));
	return flow->at && flow->decoded && flow->marks ? make_blocks(flow) : -ENOMEM;
}

void flow_free(struct flow *flow)
{
	array_free(&flow->code);
	array_free(&flow->steps);
	array_free(&flow->instructions);
	array_free(&flow->certain);
	array_free(&flow->possible);
	array_free(&flow->waiting);
	array_free(&flow->never);
	free(flow->at);
	free(flow->decoded);
	free(flow->marks);
	free(flow->blocks);
	flow->at = flow->decoded = flow->blocks = NULL;
	flow->marks = NULL;
}

static __attribute__((noinline)) const struct flow_code *search_code(const struct flow *flow,
								     uint64_t address)
{
	uint64_t distance = address - flow->block_base;
	if (distance >= flow->block_span)
		return NULL;
	const struct flow_code *code = &flow->code.items[flow->blocks[distance >> flow->block_shift]];
	const struct flow_code *stop = flow->code.items + flow->code.count;
	for (; code < stop && code->address <= address; code++)
		if (address - code->address < code->size)
			return code;
	return NULL;
}

/* The stretch that the address is in, mostly the one at hand; or NULL. */
static inline const struct flow_code *code_at(const struct flow *flow, uint64_t address)
{
	const struct flow_code *here = flow->here;
	return here && address - here->address < here->size ? here : search_code(flow, address);
}

static uint32_t position_of(const struct flow_code *code, uint64_t address)
{
	return code->position + (uint32_t)(address - code->address);
}

bool flow_has(const struct flow *flow, uint64_t address)
{
	return code_at(flow, address);
}

int flow_add_start(struct flow *flow, uint64_t address, bool certain)
{
	const struct flow_code *code = code_at(flow, address);
	uint8_t mark = certain ? MARK_START : MARK_POSSIBLE;
	if (!code)
		return 0;
	uint8_t *marks = &flow->marks[position_of(code, address)];
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

/* ---- Ways through a function ---------------------------------------------------------------------- */

static void contradiction(struct flow *flow, uint32_t call)
{
	if (!flow->wrong)
		flow->culprit = call;
	flow->wrong = true;
}

static bool has_mark(const struct flow *flow, uint64_t address, enum flow_mark mark)
{
	const struct flow_code *code = code_at(flow, address);
	return code && (flow->marks[position_of(code, address)] & mark);
}

/* From the instruction `from` the one at `address` is reached with this frame. */
static int reach(struct flow *flow, const struct flow_step *from, uint64_t address,
		 const struct flow_frame *frame, bool by_call)
{
	const struct flow_code *code = code_at(flow, address);
	uint32_t call = by_call ? from->position + 1 : from ? from->after_call : 0;
	if (!code) {
		flow->exits += !by_call;
		return 0;
	}
	bool sure = !from || (from->sure && !by_call);
	uint32_t position = position_of(code, address), index = flow->at[position];
	if (!index) {
		struct flow_step step = {.address = address, .position = position,
					 .after_call = call, .frame = *frame,
					 .only_by_call = by_call, .sure = sure};
		if (array_add(&flow->steps, step) < 0)
			return -ENOMEM;
		flow->at[position] = flow->steps.count;
		return array_add(&flow->waiting, flow->at[position] - 1);
	}
	struct flow_step *step = &flow->steps.items[index - 1];
	if (index - 1 < flow->first) {
		flow->exits++;
		if (!same_frame(&step->frame, frame))
			contradiction(flow, call);
		return 0;
	}
	bool again = sure && !step->sure;
	step->sure |= sure;
	if (same_frame(&step->frame, frame)) {
		step->only_by_call &= by_call;
		return again ? array_add(&flow->waiting, index - 1) : 0;
	}
	bool differ = step->frame.height_known && frame->height_known &&
		      step->frame.height != frame->height;
	if (differ) {
		contradiction(flow, step->only_by_call && !by_call ? step->after_call : call);
		return 0;
	}
	struct flow_frame common = common_frame(&step->frame, frame);
	step->only_by_call &= by_call;
	if (same_frame(&common, &step->frame) && !again)
		return 0;
	step->frame = common;
	return array_add(&flow->waiting, index - 1);
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
	return address != flow->start && has_mark(flow, address, MARK_START);
}

static int follow_jump(struct flow *flow, const struct flow_step *step, uint64_t target)
{
	if (!is_other_start(flow, target))
		return reach(flow, step, target, &step->frame, false);
	flow->returns += leave_function(flow, step) && has_mark(flow, target, MARK_RETURNS);
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

static bool never_returns_by_name(const struct flow *flow, uint64_t address)
{
	for (size_t i = 0; i < flow->never.count; i++)
		if (flow->never.items[i] == address)
			return true;
	return false;
}

static bool never_returns(const struct flow *flow, uint64_t address)
{
	return has_mark(flow, address, MARK_NEVER) || never_returns_by_name(flow, address);
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
	    (i->has_target && never_returns(flow, i->target)))
		return r;
	/* What a function returns to that is known to return is no guess. */
	bool guess = !i->has_target || !has_mark(flow, i->target, MARK_RETURNS);
	return follow_next(flow, step, &frame, guess);
}

/* NULL: no memory */
static const struct x86_instruction *decode(struct flow *flow, const struct flow_step *step)
{
	uint32_t *index = &flow->decoded[step->position];
	if (*index)
		return &flow->instructions.items[*index - 1];
	const struct flow_code *code = code_at(flow, step->address);
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
	flow->here = code_at(flow, step.address);
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

/* ---- Is it true? ---------------------------------------------------------------------------------- */

static const struct flow_step *step_at(const struct flow *flow, uint64_t address)
{
	const struct flow_code *code = code_at(flow, address);
	uint32_t index = code ? flow->at[position_of(code, address)] : 0;
	return index > flow->first ? &flow->steps.items[index - 1] : NULL;
}

static bool leads_to_proof(const struct flow *flow, const struct flow_step *step)
{
	/* What could not be followed for want of memory was not decoded. */
	struct x86_instruction i = flow->instructions.items[flow->decoded[step->position] - 1];
	bool goes_on = i.effect != X86_JUMP && i.effect != X86_STOP && i.effect != X86_RETURN;
	bool call = i.effect == X86_CALL;
	/* A thread's start ends in pthread_exit(): the ABI's alignment at the call vouches for the height. */
	if (call && i.has_target && never_returns_by_name(flow, i.target))
		return step->frame.height_known && step->frame.height % STACK_ALIGNMENT == 0;
	if (call && ((flow->marks[step->position] & MARK_NO_RETURN) ||
		     (i.has_target && never_returns(flow, i.target))))
		return false;
	const struct flow_step *next = goes_on ? step_at(flow, step->address + i.length) : NULL;
	const struct flow_step *target =
		i.effect == X86_JUMP || i.effect == X86_BRANCH ? step_at(flow, i.target) : NULL;
	return (next && (next->proved || (next->sure && !call))) ||
	       (target && (target->proved || target->sure));
}

/* Steps come mostly in the order they are executed in: from the last to the first few rounds do. */
static void prove(struct flow *flow)
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

/* ---- All functions -------------------------------------------------------------------------------- */

static void forget_function(struct flow *flow)
{
	for (size_t i = flow->first; i < flow->steps.count; i++)
		flow->at[flow->steps.items[i].position] = 0;
	flow->steps.count = flow->first;
	flow->waiting.count = 0;
}

static int follow_once(struct flow *flow)
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

/* What is no function calls none. */
static void forget_calls(struct flow *flow, size_t count)
{
	for (size_t i = count; i < flow->certain.count; i++) {
		uint64_t start = flow->certain.items[i];
		flow->marks[position_of(code_at(flow, start), start)] &= ~MARK_START;
	}
	flow->certain.count = MIN_OF(count, flow->certain.count);
}

/* Callers want to know; those followed already are followed again. */
static void note_ends(struct flow *flow)
{
	uint8_t *marks = &flow->marks[position_of(code_at(flow, flow->start), flow->start)];
	uint8_t mark = flow->returns ? MARK_RETURNS : flow->exits ? 0 : MARK_NEVER;
	flow->news += (*marks & mark) != mark;
	*marks |= mark;
}

/* A function that never returns proves nothing of the stack; its beginning must do. */
static bool begins_as_function(const struct flow *flow)
{
	const struct flow_code *code = code_at(flow, flow->start);
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
		int r = follow_once(flow);
		if (r < 0)
			return r;
		if (!flow->wrong && (certain || flow->returns ||
				     (!flow->exits && begins_as_function(flow)))) {
			note_ends(flow);
			prove(flow);
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
	flow->budget = (uint64_t)flow->size * STEPS_PER_BYTE;
	while (r == 0) {
		if (certain < flow->certain.count) {
			r = follow_function(flow, flow->certain.items[certain++], true);
			continue;
		}
		if (possible == flow->possible.count)
			break;
		uint64_t start = flow->possible.items[possible++];
		if (!flow->at[position_of(code_at(flow, start), start)])
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
	for (size_t i = 0; i < flow->code.count; i++) {
		const struct flow_code *code = &flow->code.items[i];
		for (uint32_t position = code->position; position < code->position + code->size; position++)
			if (flow->at[position])
				sorted[count++] = flow->steps.items[flow->at[position] - 1];
	}
	free(flow->steps.items);
	flow->steps.items = sorted;
	flow->steps.capacity = flow->steps.count;
	return 0;
}
