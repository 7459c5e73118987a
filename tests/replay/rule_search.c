/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side's search for a rule against the daemon's, at each byte of a table of several chunks: pages that begin
 * a chunk, narrow and wide ones, and pages that begin with the rule of the page before.
 *
 * A rule shows by what it makes of the stack: each word of the stack is its own address, so the caller's address tells
 * where the rule looked for it.
 */
#include "world.h"

#include <stdio.h>

#define PAGES 1500
#define ROW_BYTES 4 /* of code */
#define PAGE_RULES (UNWIND_PAGE_SIZE / ROW_BYTES)
#define FIRST_OFFSET 0x1000
#define CODE 0x400000
#define STACK 0x7ff000000000

static int read_addresses(void *userdata, void *to, u64 size, u64 address)
{
	u64 *words = to;
	for (u64 i = 0; i < size / sizeof(*words); i++)
		words[i] = address + i * sizeof(*words);
	return 0;
}

/* Every third page needs more rules than narrow rows can name; every other one begins as the one before it ended. */
static void make_rules(struct world_rule *rules)
{
	for (unsigned i = 0; i < PAGES * PAGE_RULES; i++) {
		unsigned page = i / PAGE_RULES, kind = (i * 7 + page) % 100;
		if (page % 3 == 2)
			kind = 100 + i % 300;
		rules[i] = (struct world_rule){FIRST_OFFSET + i * ROW_BYTES,
					       {.kind = RULE_CFA_SP, .cfa_offset = (s32)(16 + 8 * kind)}};
		if (i && i % PAGE_RULES == 0 && page % 2)
			rules[i].rule = rules[i - 1].rule;
	}
}

static unsigned pages_that_begin_a_chunk(const struct world_file *file, unsigned *ret_wide)
{
	const struct unwind_table_header *header = &file->image.header;
	const uint32_t *index = (const uint32_t *)(file->image.body + header->index_offset);
	unsigned count = 0;
	*ret_wide = 0;
	for (uint32_t i = 0; i < header->page_count; i++) {
		uint64_t at = header->rows_offset + 2ULL * (index[i] >> 9);
		if (at % ARENA_CHUNK_SIZE)
			continue;
		count++;
		*ret_wide += index[i] >> 8 & 1;
	}
	return count;
}

static bool agrees(struct world *world, const struct world_file *file, uint64_t offset)
{
	static struct replay_stack stack;
	u64 registers[REPLAY_REGISTERS] = {0};
	struct unwind_rule rule = world_rule_at(file, offset);
	u64 return_address = STACK + (u64)rule.cfa_offset - 8;
	registers[REPLAY_REGISTER_PC] = CODE + offset;
	registers[REPLAY_REGISTER_SP] = STACK;
	replay_unwind(&world->replay, registers, &stack);
	if (stack.count == 2 && stack.frames[1] == FRAME_WORD_ADDRESS(return_address - 1))
		return true;
	printf("at %#llx: end %u, %u frames, caller %#llx, the daemon's rule says %#llx\n",
	       (unsigned long long)offset, stack.end, stack.count,
	       stack.count > 1 ? (unsigned long long)stack.frames[1] : 0ULL,
	       (unsigned long long)FRAME_WORD_ADDRESS(return_address - 1));
	return false;
}

int main(void)
{
	static struct world_rule rules[PAGES * PAGE_RULES];
	struct world world = {0};
	uint64_t end = FIRST_OFFSET + (uint64_t)PAGES * UNWIND_PAGE_SIZE;
	make_rules(rules);
	struct world_file *file = world_file(&world, "table");
	if (!file || world_add_rules(&world, file, rules, ARRAY_LENGTH(rules)) < 0 ||
	    world_add_mapping(&world, CODE, CODE + end, 0, true, file) < 0 || world_finish(&world, false) < 0)
		return 1;
	world.replay.read_user = read_addresses;
	unsigned different = 0, wide, first = pages_that_begin_a_chunk(file, &wide);
	for (uint64_t offset = FIRST_OFFSET; offset < end && different < 10; offset++)
		different += !agrees(&world, file, offset);
	printf("%u pages of %u begin a chunk, %u of them wide; %u differences\n", first, PAGES, wide, different);
	world_free(&world);
	return different || !wide || wide == first ? 1 : 0;
}
