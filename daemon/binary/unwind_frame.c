/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/unwind_frame.h"

#define MAX_HEIGHT (1 << 28)

static void set_height(struct flow_frame *f, int64_t height, bool known)
{
	/* Below 8 the return address is popped. */
	f->height_known = known && height >= 8 && height <= MAX_HEIGHT;
	f->height = f->height_known ? height : 0;
	if (f->saved && f->height_known && f->saved_at < -f->height)
		f->saved = false; /* popped off */
}

void frame_move_sp(struct flow_frame *f, int32_t change)
{
	/* Moving down keeps what was saved below SP, in the red zone. */
	bool saved = f->saved && change < 0;
	set_height(f, (int64_t)f->height - change, f->height_known);
	f->saved |= saved;
}

static void save_fp(struct flow_frame *f, int64_t at)
{
	if (!f->height_known || f->fp != FLOW_FP_CALLERS || f->saved || at > -16 || at < INT16_MIN)
		return;
	f->saved = true;
	f->saved_at = at;
}

static void lose_fp(struct flow_frame *f)
{
	f->fp = FLOW_FP_OTHER;
	f->frame = 0;
}

static void load_fp(struct flow_frame *f, int64_t at)
{
	bool callers = f->height_known && f->saved && f->saved_at == at;
	lose_fp(f);
	if (callers)
		f->fp = FLOW_FP_CALLERS;
}

static void push_fp(struct flow_frame *f)
{
	frame_move_sp(f, -8);
	save_fp(f, -(int64_t)f->height);
}

static void pop_fp(struct flow_frame *f)
{
	load_fp(f, -(int64_t)f->height);
	frame_move_sp(f, 8);
}

static void set_fp_to_sp(struct flow_frame *f, int32_t distance)
{
	lose_fp(f);
	int64_t frame = (int64_t)f->height - distance;
	if (f->height_known && frame >= 8 && frame <= MAX_HEIGHT) {
		f->fp = FLOW_FP_FRAME;
		f->frame = frame;
	}
}

static void set_sp_to_fp(struct flow_frame *f, int32_t distance)
{
	set_height(f, (int64_t)f->frame - distance, f->fp == FLOW_FP_FRAME);
}

void change_frame(struct flow_frame *f, const struct x86_instruction *i)
{
	switch (i->effect) {
	case X86_ADD_SP:
		frame_move_sp(f, i->value);
		return;
	case X86_PUSH_FP:
		push_fp(f);
		return;
	case X86_POP_FP:
		pop_fp(f);
		return;
	case X86_STORE_FP:
		save_fp(f, (int64_t)i->value - f->height);
		return;
	case X86_LOAD_FP:
		load_fp(f, (int64_t)i->value - f->height);
		return;
	case X86_SET_FP_TO_SP:
		set_fp_to_sp(f, i->value);
		return;
	case X86_SET_SP_TO_FP:
		set_sp_to_fp(f, i->value);
		return;
	case X86_ENTER:
		push_fp(f);
		set_fp_to_sp(f, 0);
		frame_move_sp(f, -i->value);
		return;
	case X86_LEAVE:
		set_sp_to_fp(f, 0);
		pop_fp(f);
		return;
	case X86_CALL:
		/* The red zone is the callee's stack. */
		f->saved = f->saved && f->height_known ? f->saved_at >= -f->height : f->saved;
		return;
	case X86_WRITES_BOTH:
		lose_fp(f);
		set_height(f, 0, false);
		return;
	case X86_WRITES_SP:
		set_height(f, 0, false);
		return;
	case X86_WRITES_FP:
		lose_fp(f);
	}
}

struct unwind_rule frame_rule(const struct flow_frame *f)
{
	struct unwind_rule rule = {.kind = RULE_NONE};
	if (f->fp == FLOW_FP_FRAME && f->saved) {
		rule.kind = RULE_CFA_FP;
		rule.cfa_offset = f->frame;
	} else if (f->height_known && (f->fp == FLOW_FP_CALLERS || f->saved)) {
		rule.kind = RULE_CFA_SP;
		rule.cfa_offset = f->height;
	}
	if (rule.kind != RULE_NONE && f->saved) {
		rule.flags = RULE_FP_AT_CFA;
		rule.fp_offset = f->saved_at;
	}
	return rule;
}

struct flow_frame common_frame(const struct flow_frame *a, const struct flow_frame *b)
{
	struct flow_frame f = *a;
	if (!b->height_known)
		set_height(&f, 0, false);
	if (a->fp != b->fp || a->frame != b->frame)
		lose_fp(&f);
	f.saved = a->saved && b->saved && a->saved_at == b->saved_at;
	return f;
}
