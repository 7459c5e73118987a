/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a place in a file to the unwind rule in force there: the tables that the daemon keeps in the arena
 * (their format: wire_unwind.h), and beside each walk the rules that it used lately.
 */
#pragma once

#include "fetch.bpf.h"
#include "maps.bpf.h"

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
 * The rule at a file offset of the binary in the last mapping, into scratch->rule. Returns 0 or
 * -1 when the table is damaged. See wire_unwind.h for the format; indices are masked, so a damaged table can
 * give a wrong rule but no fault.
 */
__noinline int search_rule(u32 walk, u64 offset)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return -1;
	struct binary_entry *b = &s->mappings[s->known.last_mapping & (MAPPING_CACHE_SIZE - 1)].binary;
	u32 page = (u32)(offset >> UNWIND_PAGE_SHIFT) - b->first_page;
	s->rule = (struct unwind_rule){};
	if (page >= b->page_count)
		return 0;

	u64 at = (u64)b->index * ARENA_UNIT + (u64)page * 4;
	char *chunk = arena_chunk(at);
	/* The rules used most come first: they are on their way while the row is looked for. */
	u64 common = (u64)b->palette * ARENA_UNIT;
	const char *rules = arena_chunk(common);
	if (!chunk || !rules)
		return -1;
	FETCH(rules + (common & (ARENA_CHUNK_SIZE - 1)));
	u32 word = load_u32(chunk, at);
	u32 wide = word >> 8 & 1, rows = word & 0xff;

	/* Row 0 of this search is the one before the page's first: the rule the page starts with. */
	u32 row_size = 2 + 2 * wide, shift = 7 + 16 * wide;
	at = (u64)b->rows * ARENA_UNIT + (u64)(word >> 9) * 2;
	/* Of a page that begins a chunk the row before is in another one; such a page has a row at its offset 0. */
	chunk = arena_chunk(at);
	if (!chunk)
		return -1;
	at -= row_size;
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

/* The recent rule for a frame in the last mapping; searched for if it is none yet. Returns null when the table is
 * damaged. */
static __always_inline const struct unwind_rule *find_rule(u32 walk, struct scratch *s, u32 depth, u64 frame)
{
	u32 place = (frame ^ frame >> 9 ^ frame >> FRAME_OFFSET_BITS) & (RULE_SETS - 1);
	struct cached_rule *first = &s->rules[place].rules[0], *second = &s->rules[place].rules[1];

	s->recent_rules[depth & (RECENT_RULES - 1)] = place;
	if (first->frame == frame)
		return &first->rule;
	if (second->frame == frame)
		return &second->rule;
	if (search_rule(walk, frame & FRAME_OFFSET_MASK) < 0)
		return 0;
	*second = *first;
	first->frame = frame;
	first->rule = s->rule;
	return &first->rule;
}
