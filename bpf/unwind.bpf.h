/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk up a user stack: one bounded loop over global functions, each verified once.
 *
 * A step takes the registers of a frame (pc, sp, fp), finds the mapping of pc, pushes the frame word,
 * finds the unwind rule in force there and computes the caller's registers from it. Reads of the user's
 * stack go through a window of some hundred bytes: the frames of one walk lie close together.
 *
 * Nothing is guessed: where there is no rule, the stack ends with the reason.
 */
#pragma once

#include "compat.bpf.h"
#include "mapping.bpf.h"
#include "registers.bpf.h"
#include "rules.bpf.h"
#include "uprobe_frames.bpf.h"

#define STEPS_AT_ONCE 32
#define WORD 8 /* bytes; NARROW_WORD in 32-bit programs */
#define FRAME_POINTER_REACH (1ULL << 20) /* a frame of more than 1 MiB is taken for garbage */

/* Reads the 8 bytes at a user address through the window into scratch->word. Returns 0 or -1. */
static __always_inline int read_stack(struct scratch *s, u64 address)
{
	u64 at = address - s->window_base;

	if (at > STACK_WINDOW_SIZE - 8 || (at & 7)) {
		u64 base = (address & ~7ULL) - STACK_WINDOW_BELOW;
		if ((address & 7) || bpf_probe_read_user(s->window, STACK_WINDOW_SIZE, (void *)base)) {
			/* At the end of the stack's mapping a whole window is too much. */
			s->window_base = ~0ULL;
			return bpf_probe_read_user(&s->word, 8, (void *)address) ? -1 : 0;
		}
		s->window_base = base;
		at = address - base;
	}
	s->word = s->window[(at >> 3) & (STACK_WINDOW_SIZE / 8 - 1)];
	return 0;
}

/* The same of so many bytes, which the compiler knows. */
static __always_inline int read_stack_word(struct scratch *s, u64 address, u32 word)
{
	return word == WORD ? read_stack(s, address) : read_narrow_word(s, address);
}

static __always_inline void push_frame(struct scratch *s, u64 word)
{
	u32 at = s->sample.kernel_frames + s->sample.user_frames;

	if (at < MAX_SAMPLE_WORDS) {
		s->frames[at] = word;
		s->sample.user_frames++;
		s->hash = hash_frame(s->hash, word);
	}
}

/* Sets the registers of the caller after a frame whose CFA and return address are known. */
static __always_inline int enter_caller(struct scratch *s, u64 cfa, u64 return_address)
{
	return_address &= code_address_mask;
	s->sp = cfa;
	s->pc = return_address;
	s->lookup_pc = return_address - 1;
	s->link_known = 0;
	return return_address ? 0 : -STACK_END_COMPLETE - 1;
}

/*
 * Follows a frame record {caller's FP, return address} at FP. Only a chain ends at 0, in the record of the
 * function that the entry called, or where Go leaves a stack: code without frames, which calls JIT code or
 * is it, may have any FP, and often still has the 0 that the thread began with.
 */
static __always_inline int follow_frame_pointer(struct scratch *s, bool in_chain, u32 word)
{
	u64 record = s->fp;
	/* A rule vouches for a record on another stack; a chain without rules must go up its own. */
	bool any_stack = s->rule.flags & RULE_ANY_STACK;

	if (record == 0)
		return -(in_chain || any_stack ? STACK_END_COMPLETE : STACK_END_BAD_FRAME_POINTER) - 1;
	if ((record & (word - 1)) ||
	    (!any_stack && (record < s->sp || record - s->sp > FRAME_POINTER_REACH)))
		return -STACK_END_BAD_FRAME_POINTER - 1;
	if (read_stack_word(s, record, word) < 0)
		return -STACK_END_STACK_UNREADABLE - 1;
	u64 caller_fp = s->word;
	if (read_stack_word(s, record + word, word) < 0)
		return -STACK_END_STACK_UNREADABLE - 1;
	s->fp = caller_fp;
	return enter_caller(s, frame_record_cfa(record, caller_fp, word), s->word);
}

/* Reads the caller's registers from a frame whose CFA the rule has told. Returns as apply_rule(). */
static __always_inline int restore_caller(struct scratch *s, struct unwind_rule rule, u64 cfa, u32 word)
{
	/* A caller's frame lies above; only a leaf whose return address is in a register may share the CFA. */
	if (cfa < s->sp || (cfa == s->sp && !s->link_known && rule.kind != RULE_RETURN_REGISTER))
		return -STACK_END_NO_PROGRESS - 1;
	u64 caller_fp = s->fp;
	if (rule.flags & (RULE_FP_AT_CFA | RULE_FP_AT_FP)) {
		u64 base = rule.flags & RULE_FP_AT_CFA ? cfa : s->fp;
		if (read_stack_word(s, base + rule.fp_offset, word) < 0)
			return -STACK_END_STACK_UNREADABLE - 1;
		caller_fp = s->word;
	}
	int r = read_return_address(s, rule, cfa, word);
	if (r < 0)
		return r;
	s->fp = caller_fp;
	return enter_caller(s, cfa, s->word);
}

/*
 * Leaves the register that the CFA is counted from in scratch->word. Once the frame has called another one, only that one
 * can tell: where the rule says that it saves the register, or, as long as it has not done so or when it has put it back,
 * in the register itself, which then is one of the interrupted frame. Returns 0, or -1: it is lost.
 */
static __always_inline int find_base_register(struct scratch *s, struct unwind_rule rule, u32 word)
{
	u64 saved_at = s->sp + rule.fp_offset;

	s->word = s->general[RULE_NUMBER(rule.flags) & 15];
	if (knows_registers(s))
		return 0;
	if (rule.fp_offset >= 0 || rule.flags & (RULE_FP_AT_CFA | RULE_FP_AT_FP))
		return -1;
	if (s->general_depth + 1 == s->depth && s->general[GENERAL_SP] > saved_at)
		return 0;
	return read_stack_word(s, saved_at, word);
}

/*
 * Computes the caller's registers by scratch->rule. Words of the stack have `word` bytes, which the compiler knows.
 * Returns 0 to go on, or -1 - enum stack_end.
 */
static __always_inline int apply_rule(struct scratch *s, u32 word)
{
	u64 cfa;
	struct unwind_rule rule = s->rule;
	bool in_chain = s->in_chain;

	s->in_chain = rule.kind == RULE_FRAME_POINTER;
	switch (rule.kind) {
	case RULE_END:
		return -STACK_END_COMPLETE - 1;
	case RULE_NEW_THREAD:
		if (!knows_registers(s) && !s->link_known)
			return -STACK_END_REGISTER_LOST - 1;
		if (returned_zero(s))
			return -STACK_END_COMPLETE - 1;
		cfa = s->sp + rule_cfa_offset(rule);
		break;
	case RULE_CFA_SP:
	case RULE_RETURN_REGISTER:
		cfa = s->sp + rule_cfa_offset(rule);
		break;
	case RULE_CFA_FP:
		cfa = s->fp + rule_cfa_offset(rule);
		break;
	case RULE_CFA_REGISTER:
		if (find_base_register(s, rule, word) < 0)
			return -STACK_END_REGISTER_LOST - 1;
		cfa = s->word + rule.cfa_offset;
		break;
	case RULE_CFA_DEREF_SP:
	case RULE_CFA_DEREF_FP:
		cfa = (rule.kind == RULE_CFA_DEREF_SP ? s->sp : s->fp) + (s16)rule.cfa_offset;
		if (read_stack_word(s, cfa, word) < 0)
			return -STACK_END_STACK_UNREADABLE - 1;
		cfa = s->word + (rule.cfa_offset >> 16);
		break;
	case RULE_PLT:
		cfa = s->sp + word + ((s->pc & 15) >= RULE_NUMBER(rule.flags) ? word : 0);
		break;
	case RULE_SIGNAL:
		return word == WORD ? enter_interrupted_frame(s) : enter_interrupted_frame_32(s);
	case RULE_FRAME_POINTER:
		cfa = !(rule.flags & RULE_LOOK_AT_CODE) ? 0
		      : word == WORD			? cfa_of_leaving_code(s)
							: cfa_of_leaving_code_32(s);
		if (!cfa)
			return follow_frame_pointer(s, in_chain, word);
		s->in_chain = 0;
		break;
	case RULE_NONE:
		return -STACK_END_NO_UNWIND_INFO - 1;
	default:
		return -STACK_END_BAD_TABLE - 1;
	}
	return restore_caller(s, rule, cfa, word);
}

/* Pushes the frame of scratch->lookup_pc in cached mapping `index` and leaves the rule in force there.
 * Returns 0, or -1 - enum stack_end. */
static __always_inline int look_up_frame(u32 walk, struct scratch *s, u32 index)
{
	struct cached_mapping *m = &s->mappings[index & (MAPPING_CACHE_SIZE - 1)];

	if (!m->in_file) {
		push_frame(s, FRAME_WORD_ADDRESS(s->lookup_pc));
		s->sample.flags |= SAMPLE_HAS_ADDRESSES;
		s->rule = (struct unwind_rule){.kind = RULE_FRAME_POINTER, .flags = RULE_LOOK_AT_CODE};
		return 0;
	}
	u64 offset = (s->lookup_pc + m->to_frame) & FRAME_OFFSET_MASK;
	u64 frame = FRAME_WORD_FILE(m->binary.slot, offset);
	push_frame(s, frame);
	if (m->binary.state == BINARY_PENDING)
		return -STACK_END_TABLES_NOT_READY - 1;
	if (m->binary.state == BINARY_FRAME_POINTERS) {
		s->rule = (struct unwind_rule){.kind = RULE_FRAME_POINTER};
		return 0;
	}
	const struct unwind_rule *rule = find_rule(walk, s, s->depth - 1, frame);
	if (!rule)
		return -STACK_END_BAD_TABLE - 1;
	s->rule = *rule;
	return 0;
}

/* Is going on safe on this kernel? Page faults and probes interrupt no code that holds a lock. */
static __always_inline bool may_read_stack(const struct scratch *s)
{
	return !safe_kernel_ticks || s->sample.event != EVENT_CPU ||
	       (s->sample.flags & SAMPLE_USER_MODE);
}

/* From a frame of a 32-bit program, whose rule is in the scratch, to its caller. Returns as unwind_step(). */
__noinline int leave_frame_32(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	return s ? apply_rule(s, NARROW_WORD) : -STACK_END_BAD_TABLE - 1;
}

/* One frame. Returns 0 to go on, or -1 - enum stack_end. */
__noinline int unwind_step(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return -STACK_END_BAD_TABLE - 1;
	if (s->depth >= max_user_frames)
		return -STACK_END_DEPTH_LIMIT - 1;
	/* Most frames lie in the mapping of the one before. */
	int index = s->known.last_mapping & (MAPPING_CACHE_SIZE - 1);
	if (s->lookup_pc - s->mappings[index].start >= s->mappings[index].length)
		index = find_mapping(walk);
	if ((index < 0 || !s->mappings[index & (MAPPING_CACHE_SIZE - 1)].in_file) &&
	    may_be_uprobe_page(s) && leave_uprobe_page(walk))
		return 0;
	if (index < 0) {
		if (s->depth == 0 && s->after_kernel_entry)
			return -STACK_END_IN_EXEC - 1;
		push_frame(s, FRAME_WORD_ADDRESS(s->lookup_pc));
		s->depth++;
		return s->is_compat && !WALKS_32_BIT ? -STACK_END_COMPAT_TASK - 1 : index - 1;
	}
	s->depth++;
	int r = look_up_frame(walk, s, index);
	if (s->is_compat && !WALKS_32_BIT) /* arm64: its callers are not looked for */
		return -STACK_END_COMPAT_TASK - 1;
	if (r == 0 && !may_read_stack(s))
		r = -STACK_END_NOT_READ - 1;
	if (r < 0)
		return r;
	return s->is_compat ? leave_frame_32(walk) : apply_rule(s, WORD);
}

/* Fills the window with the stack from `address` upward. Returns 0 or -1. */
static __always_inline int look_at_stack(struct scratch *s, u64 address)
{
	u64 base = address;

	s->window_base = ~0ULL;
	if (address & 7)
		return -1;
	if (bpf_probe_read_user(s->window, STACK_WINDOW_SIZE, (void *)base)) {
		/* Behind this page the stack may end: the window that ends there. */
		base = (address | ((1ULL << PAGE_SHIFT_MIN) - 1)) + 1 - STACK_WINDOW_SIZE;
		if (base > address || bpf_probe_read_user(s->window, STACK_WINDOW_SIZE, (void *)base))
			return -1;
	}
	s->window_base = base;
	return 0;
}

/* Is the word at this distance from the window's base in the window? */
static __always_inline bool is_in_window(u64 at)
{
	return at <= STACK_WINDOW_SIZE - 8 && !(at & 7);
}

/*
 * Walks frames of the common kind as unwind_step() would, one after the other: they are mapped where the first of
 * them is, their rule counts from SP or FP, and the window holds what it asks for. What costs a step is code and
 * memory that other programs have driven out of the caches since the last tick: here is little of both, and most
 * walks need nothing else. What is in doubt is left to unwind_step().
 *
 * Returns -1 - enum stack_end; 0: the next frame is of another kind; 1: it may be a common one, but it is mapped
 * elsewhere or the window ends before it.
 */
__noinline int unwind_common(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s || s->is_compat || !may_read_stack(s))
		return 0;
	u32 index = s->known.last_mapping & (MAPPING_CACHE_SIZE - 1);
	u64 pc = s->lookup_pc;
	if (pc - s->mappings[index].start >= s->mappings[index].length) {
		int found = find_cached_mapping(walk); /* less code, first */
		if (found < 0)
			found = find_mapping(walk);
		if (found < 0)
			return 0;
		index = found & (MAPPING_CACHE_SIZE - 1);
	}
	struct cached_mapping *m = &s->mappings[index];
	if (!m->has_tables)
		return 0;
	if (s->sp - s->window_base > STACK_WINDOW_SIZE - STACK_WINDOW_BELOW &&
	    look_at_stack(s, s->sp) < 0)
		return 0;
	u64 sp = s->sp - s->window_base; /* as all positions here */
	u32 i;
#pragma clang loop unroll(disable)
	for (i = 0; i < STEPS_AT_ONCE; i++) {
		/* What the scratch holds stays there: registers are few, and a stack of 64 bytes is cold. */
		asm volatile("" : "+r"(m) : : "memory");
		if (pc - m->start >= m->length)
			break;
		u64 frame = pc + m->to_frame;
		const struct unwind_rule *found = find_rule(walk, s, s->depth, frame);
		if (!found || s->depth >= max_user_frames)
			return 0;
		struct unwind_rule rule = *found;
		u64 cfa = sp + rule_cfa_offset(rule);
		if (rule.kind == RULE_END) {
			push_frame(s, frame);
			s->depth++;
			return -STACK_END_COMPLETE - 1;
		}
		if (rule.kind == RULE_CFA_FP)
			cfa = s->fp - s->window_base + rule_cfa_offset(rule);
		else if (rule.kind != RULE_CFA_SP)
			return 0;
		if (rule.flags & RULE_FP_AT_FP || !is_return_address_on_stack(rule))
			return 0;
		u64 word = return_address_at(rule, cfa);
		u64 saved = rule.flags & RULE_FP_AT_CFA ? cfa + rule.fp_offset : word;
		if (cfa <= sp || !is_in_window(word) || !is_in_window(saved)) {
			if (i)
				s->window_base = ~0ULL; /* the next one begins with this frame */
			break;
		}
		if (rule.flags & RULE_FP_AT_CFA)
			s->fp = s->window[saved >> 3];
		push_frame(s, frame);
		s->depth++;
		s->in_chain = 0;
		if (enter_caller(s, cfa + s->window_base, s->window[word >> 3]) < 0)
			return -STACK_END_COMPLETE - 1;
		sp = cfa;
		pc = s->lookup_pc;
	}
	return i > 0;
}

/* Some frames and more. The verifier follows each turn of a loop: one in the other makes it 64 turns instead
 * of 1024. Returns 0 to go on, or -1 - enum stack_end. */
__noinline int unwind_steps(u32 walk)
{
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < STEPS_AT_ONCE; i++) {
		int r = unwind_common(walk);
		if (r == 0)
			r = unwind_step(walk);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Walks from the registers in the scratch; sets sample.end and pushes its frame. */
static __always_inline void unwind_user(u32 walk, struct scratch *s)
{
	int end = STACK_END_DEPTH_LIMIT;

	s->depth = 0;
	s->in_chain = 0;
	s->window_base = ~0ULL;
	revalidate_mappings(s);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < MAX_USER_FRAMES / STEPS_AT_ONCE; i++) {
		int r = unwind_steps(walk);
		if (r < 0) {
			end = -r - 1;
			break;
		}
	}
	s->sample.end = end;
	s->recent_count = s->depth;
	count(walk, COUNTER_FRAMES, s->depth);
}
