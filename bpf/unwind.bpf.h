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

#include "mapping.bpf.h"
#include "registers.bpf.h"

#define STEPS_AT_ONCE 32
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

/* The 64 KiB chunk that holds an arena byte address, or null. */
static __always_inline char *arena_chunk(u64 address)
{
	u32 segment = address / ARENA_SEGMENT_SIZE;
	u32 chunk = address / ARENA_CHUNK_SIZE % ARENA_SEGMENT_CHUNKS;
	void *chunks = bpf_map_lookup_elem(&arena, &segment);

	return chunks ? bpf_map_lookup_elem(chunks, &chunk) : 0;
}

static __always_inline u32 load_u16(const char *chunk, u64 address)
{
	return *(const u16 *)(chunk + (address & (ARENA_CHUNK_SIZE - 2)));
}

static __always_inline u32 load_u32(const char *chunk, u64 address)
{
	return *(const u32 *)(chunk + (address & (ARENA_CHUNK_SIZE - 4)));
}

/* All ones when a > b, else zero; both below 2^31. Kept from the optimizer, which would make a branch of
 * it: each one in a search doubles what the verifier has to look at. */
static __always_inline u32 mask_greater(u32 a, u32 b)
{
	u32 mask = (u32)((s32)(b - a) >> 31);

	asm volatile("" : "+r"(mask));
	return mask;
}

/* A row of the page: one half, or low and high half where `wide_mask` is all ones. */
static __always_inline u32 load_row(const char *chunk, u64 address, u32 wide_mask)
{
	return load_u16(chunk, address) | (load_u16(chunk, address + 2) & wide_mask) << 16;
}

/*
 * The last of rows 1..count at `address` whose page offset is <= in_page, or 0. Eight halvings settle
 * 255 rows; those that are too many change nothing.
 */
static __always_inline u32 search_row(const char *chunk, u64 address, u32 wide, u32 count,
				      u32 in_page)
{
	u32 row_size = 2 + 2 * wide, shift = 7 + 16 * wide, wide_mask = mask_greater(wide, 0);
	u32 low = 0, high = count;

	for (u32 i = 0; i < 8; i++) {
		u32 middle = (low + high + 1) / 2;
		u32 offset = load_row(chunk, address + middle * row_size, wide_mask) >> shift;
		/* Row 0 belongs to an earlier page: it lies below in any case. */
		u32 above = mask_greater(offset & mask_greater(middle, 0), in_page);
		low = (low & above) | (middle & ~above);
		high = ((middle - 1) & above) | (high & ~above);
	}
	return low;
}

/* Applies the push or pop that the builder merged into the row. */
static __always_inline void apply_merge(struct unwind_rule *rule, u32 bytes_into_row)
{
	if (rule->kind != RULE_CFA_SP)
		return;
	u32 merge = RULE_NUMBER(rule->flags);
	if ((merge == RULE_MERGE_PLUS_AFTER_1 && bytes_into_row >= 1) ||
	    (merge == RULE_MERGE_PLUS_AFTER_2 && bytes_into_row >= 2))
		rule->cfa_offset += 8;
	if ((merge == RULE_MERGE_MINUS_AFTER_1 && bytes_into_row >= 1) ||
	    (merge == RULE_MERGE_MINUS_AFTER_2 && bytes_into_row >= 2))
		rule->cfa_offset -= 8;
	rule->flags &= 0x0f;
}

/*
 * The rule at a file offset of the binary in cached mapping `index`, into scratch->rule. Returns 0 or
 * -1 when the table is damaged. See wire.h for the format; indices are masked, so a damaged table can
 * give a wrong rule but no fault.
 */
__noinline int search_rule(u32 walk, u32 index, u64 offset)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return -1;
	struct binary_entry *b = &s->mappings[index & (MAPPING_CACHE_SIZE - 1)].binary;
	u32 page = (u32)(offset >> UNWIND_PAGE_SHIFT) - b->first_page;
	s->rule = (struct unwind_rule){};
	if (page >= b->page_count)
		return 0;

	u64 at = (u64)b->index * ARENA_UNIT + (u64)page * 4;
	char *chunk = arena_chunk(at);
	if (!chunk)
		return -1;
	u32 word = load_u32(chunk, at);
	u32 wide = word >> 8 & 1, rows = word & 0xff;

	/* Row 0 of this search is the one before the page's first: the rule the page starts with. */
	u32 row_size = 2 + 2 * wide, shift = 7 + 16 * wide;
	at = (u64)b->rows * ARENA_UNIT + (u64)(word >> 9) * 2 - row_size;
	chunk = arena_chunk(at);
	if (!chunk)
		return -1;
	u32 in_page = offset & (UNWIND_PAGE_SIZE - 1);
	u32 low = search_row(chunk, at, wide, rows, in_page);
	u32 row = load_row(chunk, at + low * row_size, mask_greater(wide, 0));
	u32 palette = row & ((1u << shift) - 1);
	/* Bytes since the row's own address; a row of an earlier page began long ago. */
	u32 into_row = low ? in_page - (row >> shift) : UNWIND_PAGE_SIZE;

	if (palette >= b->palette_count)
		return -1;
	at = (u64)b->palette * ARENA_UNIT + (u64)palette * sizeof(struct unwind_rule);
	chunk = arena_chunk(at);
	if (!chunk)
		return -1;
	s->rule = *(struct unwind_rule *)(chunk + (at & (ARENA_CHUNK_SIZE - 8)));
	apply_merge(&s->rule, into_row);
	return 0;
}

/* The rule for a file frame, from the cache of recent ones or by search. Returns 0 or -1. */
static __always_inline int find_rule(u32 walk, struct scratch *s, u32 index, u64 frame)
{
	u32 hash = (frame ^ frame >> 9 ^ frame >> FRAME_OFFSET_BITS) & (RULE_CACHE_SIZE - 1);
	struct cached_rule *cached = &s->rules[hash];

	s->recent_rules[(s->depth - 1) & (RECENT_RULES - 1)] = hash;
	if (cached->frame == frame) {
		s->rule = cached->rule;
		return 0;
	}
	if (search_rule(walk, index, frame & FRAME_OFFSET_MASK) < 0)
		return -1;
	cached->frame = frame;
	cached->rule = s->rule;
	return 0;
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
	s->general_known = 0;
	s->link_known = 0;
	return return_address ? 0 : -STACK_END_COMPLETE - 1;
}

/*
 * Follows a frame record {caller's FP, return address} at FP. Only a chain ends at 0, in the record of the
 * function that the entry called, or where Go leaves a stack: code without frames, which calls JIT code or
 * is it, may have any FP, and often still has the 0 that the thread began with.
 */
static __always_inline int follow_frame_pointer(struct scratch *s, bool in_chain)
{
	u64 record = s->fp;
	/* A rule vouches for a record on another stack; a chain without rules must go up its own. */
	bool any_stack = s->rule.flags & RULE_ANY_STACK;

	if (record == 0)
		return -(in_chain || any_stack ? STACK_END_COMPLETE : STACK_END_BAD_FRAME_POINTER) - 1;
	if ((record & 7) ||
	    (!any_stack && (record < s->sp || record - s->sp > FRAME_POINTER_REACH)))
		return -STACK_END_BAD_FRAME_POINTER - 1;
	if (read_stack(s, record) < 0)
		return -STACK_END_STACK_UNREADABLE - 1;
	u64 caller_fp = s->word;
	if (read_stack(s, record + 8) < 0)
		return -STACK_END_STACK_UNREADABLE - 1;
	s->fp = caller_fp;
	return enter_caller(s, frame_record_cfa(record, caller_fp), s->word);
}

/*
 * Computes the caller's registers by scratch->rule. Returns 0 to go on, or -1 - enum stack_end.
 */
static __always_inline int apply_rule(struct scratch *s)
{
	u64 cfa;
	struct unwind_rule rule = s->rule;
	bool in_chain = s->in_chain;

	s->in_chain = rule.kind == RULE_FRAME_POINTER;
	switch (rule.kind) {
	case RULE_END:
		return -STACK_END_COMPLETE - 1;
	case RULE_NEW_THREAD:
		if (!s->general_known && !s->link_known)
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
		if (!s->general_known)
			return -STACK_END_REGISTER_LOST - 1;
		cfa = s->general[RULE_NUMBER(rule.flags) & 15] + rule.cfa_offset;
		break;
	case RULE_CFA_DEREF_SP:
	case RULE_CFA_DEREF_FP:
		cfa = (rule.kind == RULE_CFA_DEREF_SP ? s->sp : s->fp) + (s16)rule.cfa_offset;
		if (read_stack(s, cfa) < 0)
			return -STACK_END_STACK_UNREADABLE - 1;
		cfa = s->word + (rule.cfa_offset >> 16);
		break;
	case RULE_PLT:
		cfa = s->sp + 8 + ((s->pc & 15) >= RULE_NUMBER(rule.flags) ? 8 : 0);
		break;
	case RULE_SIGNAL:
		return enter_interrupted_frame(s);
	case RULE_FRAME_POINTER:
		cfa = rule.flags & RULE_LOOK_AT_CODE ? cfa_of_leaving_code(s) : 0;
		if (!cfa)
			return follow_frame_pointer(s, in_chain);
		s->in_chain = 0;
		break;
	case RULE_NONE:
		return -STACK_END_NO_UNWIND_INFO - 1;
	default:
		return -STACK_END_BAD_TABLE - 1;
	}
	/* A caller's frame lies above; only a leaf without a frame (arm64) may share the CFA. */
	if (cfa < s->sp || (cfa == s->sp && !s->link_known))
		return -STACK_END_NO_PROGRESS - 1;

	u64 caller_fp = s->fp;
	if (rule.flags & (RULE_FP_AT_CFA | RULE_FP_AT_FP)) {
		u64 base = rule.flags & RULE_FP_AT_CFA ? cfa : s->fp;
		if (read_stack(s, base + rule.fp_offset) < 0)
			return -STACK_END_STACK_UNREADABLE - 1;
		caller_fp = s->word;
	}
	int r = read_return_address(s, rule, cfa);
	if (r < 0)
		return r;
	s->fp = caller_fp;
	return enter_caller(s, cfa, s->word);
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
	u64 offset = (s->lookup_pc + m->delta) & FRAME_OFFSET_MASK;
	u64 frame = FRAME_WORD_FILE(m->binary.slot, offset);
	push_frame(s, frame);
	if (m->binary.state == BINARY_PENDING)
		return -STACK_END_TABLES_NOT_READY - 1;
	if (m->binary.state == BINARY_FRAME_POINTERS)
		s->rule = (struct unwind_rule){.kind = RULE_FRAME_POINTER};
	else if (find_rule(walk, s, index, frame) < 0)
		return -STACK_END_BAD_TABLE - 1;
	return 0;
}

/* Is going on safe on this kernel? Page faults and probes interrupt no code that holds a lock. */
static __always_inline bool may_read_stack(const struct scratch *s)
{
	return !safe_kernel_ticks || s->sample.event != EVENT_CPU ||
	       (s->sample.flags & SAMPLE_USER_MODE);
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
	int index = s->last_mapping & (MAPPING_CACHE_SIZE - 1);
	if (s->lookup_pc - s->mappings[index].start >= s->mappings[index].length)
		index = find_mapping(walk);
	if (index < 0) {
		if (s->depth == 0 && s->after_kernel_entry)
			return -STACK_END_IN_EXEC - 1;
		push_frame(s, FRAME_WORD_ADDRESS(s->lookup_pc));
		s->depth++;
		return index - 1;
	}
	s->depth++;
	int r = look_up_frame(walk, s, index);
	if (r == 0 && !may_read_stack(s))
		r = -STACK_END_NOT_READ - 1;
	return r < 0 ? r : apply_rule(s);
}

/* Some frames. The verifier follows each turn of a loop: one in the other makes it 64 turns instead of
 * 1024. Returns 0 to go on, or -1 - enum stack_end. */
__noinline int unwind_steps(u32 walk)
{
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < STEPS_AT_ONCE; i++) {
		int r = unwind_step(walk);
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
