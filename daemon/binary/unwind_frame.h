/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a stack frame at an instruction, and how the instruction changes it: x86-64.
 */
#pragma once

#include "binary/x86_decode.h"
#include "bpf/wire.h"

/* Where the frame pointer's register points. */
enum flow_fp {
	FLOW_FP_CALLERS, /* still the caller's */
	FLOW_FP_FRAME,	 /* CFA - frame */
	FLOW_FP_OTHER,
};

struct flow_frame {
	int32_t height; /* CFA - SP */
	int32_t frame;
	int32_t saved_at; /* the caller's FP is at CFA + this */
	bool height_known;
	bool saved;
	uint8_t fp; /* enum flow_fp */
};

static inline bool same_frame(const struct flow_frame *a, const struct flow_frame *b)
{
	return a->height == b->height && a->frame == b->frame && a->fp == b->fp &&
	       a->height_known == b->height_known && a->saved == b->saved &&
	       (!a->saved || a->saved_at == b->saved_at);
}

/* From before the instruction to after it. */
void change_frame(struct flow_frame *frame, const struct x86_instruction *instruction);

/* SP moves by so many bytes. */
void frame_move_sp(struct flow_frame *frame, int32_t change);

/* What is true of both. */
struct flow_frame common_frame(const struct flow_frame *a, const struct flow_frame *b);

/* RULE_NONE when the caller's registers are not all known. */
struct unwind_rule frame_rule(const struct flow_frame *frame);
