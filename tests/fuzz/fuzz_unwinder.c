/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side's walk, compiled for the host, over foreign registers and stacks, and over damaged
 * tables and kernel objects: it must stay inside its memory, and end with a reason.
 *
 * Input: flags, a count of changes; the changes (where, offset, eight bytes); the registers; the rest
 * is the stack. Program counters and frame pointers that are small numbers choose a place in the code or
 * on the stack.
 */
#include "../replay/world.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CODE 0x400000ULL
#define CODE_SIZE 0x2000ULL
#define JIT 0x700000ULL
#define STACK 0x7ff000000000ULL
#define FILES 3
#define PADDING_MAPPINGS 40 /* enough for a tree of more than one level */

enum { RED_BLACK_TREE = 1, KEEP_STATE = 2 };

struct change {
	uint8_t where; /* even: kernel objects; 1: a chunk of the arena; 3: the map of binaries */
	uint8_t chunk;
	uint16_t offset;
	uint8_t bytes[8];
};

struct input {
	const uint8_t *bytes;
	size_t size;
};

static size_t take(struct input *input, void *to, size_t size)
{
	size_t taken = MIN_OF(size, input->size);
	memset(to, 0, size);
	memcpy(to, input->bytes, taken);
	input->bytes += taken;
	input->size -= taken;
	return taken;
}

static int read_stack(void *userdata, void *to, u64 size, u64 address)
{
	const struct input *stack = userdata;
	uint64_t offset = address - STACK;
	if (offset > stack->size || size > stack->size - offset)
		return -1;
	memcpy(to, stack->bytes + offset, size);
	return 0;
}

/* Every kind of rule, in runs of changing length, so that pages have few and many rows. */
static void add_code(struct world *world, unsigned number)
{
	static struct world_rule rules[CODE_SIZE / 16];
	char name[8] = {'f', (char)('0' + number)};
	struct world_file *file = world_file(world, number ? name : "[vdso]");
	size_t count = 0;
	if (!file)
		abort();
	for (uint64_t at = 0; at < CODE_SIZE; at += 16 + (at >> 5) % 7 * 48) {
		struct unwind_rule rule = {.kind = (count * 5 + number) % RULE_KIND_MAX,
					   .flags = (uint8_t)(count % 3), .fp_offset = -16,
					   .cfa_offset = 8 + (int)(count % 5) * 8};
		if (count % 2)
			rule.kind = RULE_CFA_SP;
		rules[count++] = (struct world_rule){at, rule};
	}
	if (world_add_rules(world, file, rules, count) < 0 ||
	    world_add_mapping(world, CODE + number * 0x10000, CODE + number * 0x10000 + CODE_SIZE, 0,
			      true, file) < 0)
		abort();
}

static void make_world(struct world *world)
{
	int r = 0;
	for (unsigned i = 0; i < FILES; i++)
		add_code(world, i);
	for (unsigned i = 0; i < PADDING_MAPPINGS && r == 0; i++)
		r = world_add_mapping(world, 0x10000000 + i * 0x3000ULL, 0x10002000 + i * 0x3000ULL, 0,
				      i % 2, NULL);
	if (r == 0)
		r = world_add_mapping(world, JIT, JIT + 0x1000, 0, true, NULL);
	if (r == 0)
		r = world_add_mapping(world, STACK, STACK + (1 << 20), 0, false, NULL);
	if (r < 0)
		abort();
}

/* Puts the change in and takes what was there out: applied in reverse order, changes undo themselves. */
static void swap(void *to, size_t room, struct change *change)
{
	size_t offset = change->offset * 8ULL % room;
	size_t size = MIN_OF(sizeof(change->bytes), room - offset);
	uint8_t before[sizeof(change->bytes)];
	memcpy(before, (char *)to + offset, size);
	memcpy((char *)to + offset, change->bytes, size);
	memcpy(change->bytes, before, size);
}

static void apply(struct world *world, struct change *change)
{
	struct replay_world *replay = &world->replay;
	if (!(change->where & 1))
		swap(world->kernel, replay->kernel_size, change);
	else if (change->where & 2)
		swap(replay->binaries, FILES * sizeof(*replay->binaries), change);
	else
		swap(replay->chunks[change->chunk % replay->chunk_count], ARENA_CHUNK_SIZE, change);
}

static uint64_t place(uint64_t value, uint64_t base)
{
	return value < (1 << 20) ? base + value : value;
}

/* A slot comes from the map of binaries as it is. */
static void check(const struct world *world, const struct replay_stack *stack)
{
	bool slots_sound = true;
	for (u32 i = 0; i < world->replay.binary_count; i++)
		slots_sound = slots_sound && world->replay.binaries[i].entry.slot < SLOT_LIMIT;
	if (stack->end >= STACK_END_MAX || stack->count > MAX_USER_FRAMES)
		abort();
	for (u32 i = 0; i < stack->count && slots_sound; i++)
		if (stack->frames[i] >> 63 && stack->frames[i] >> 60 != FRAME_ADDRESS)
			abort();
}

static void walk(struct world *world, struct input *input, bool keep_state)
{
	static struct replay_stack stack;
	u64 registers[REPLAY_REGISTERS];
	take(input, registers, sizeof(registers));
	registers[REPLAY_REGISTER_PC] = place(registers[REPLAY_REGISTER_PC], CODE);
	registers[REPLAY_REGISTER_SP] = place(registers[REPLAY_REGISTER_SP], STACK);
	registers[REPLAY_REGISTER_FP] = place(registers[REPLAY_REGISTER_FP], STACK);
	world->replay.read_user = read_stack;
	world->replay.userdata = input;
	replay_unwind(&world->replay, registers, &stack);
	check(world, &stack);
	/* From the caller on: what is remembered of the first walk is used, though much has changed. */
	if (keep_state && stack.count > 1) {
		registers[REPLAY_REGISTER_PC] = CODE + (stack.frames[1] & (CODE_SIZE - 1));
		replay_unwind(&world->replay, registers, &stack);
		check(world, &stack);
	}
}

/* Made once for each kind of tree. */
static struct world *sound_world(bool red_black_tree)
{
	static struct world worlds[2];
	struct world *world = &worlds[red_black_tree];
	if (!world->kernel) {
		make_world(world);
		if (world_finish(world, red_black_tree) < 0)
			abort();
	}
	return world;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct change changes[32];
	uint8_t head[2];
	take(&input, head, sizeof(head));
	struct world *world = sound_world(head[0] & RED_BLACK_TREE);
	size_t count = head[1] % ARRAY_LENGTH(changes);
	replay_reset();
	for (size_t i = 0; i < count; i++) {
		take(&input, &changes[i], sizeof(changes[i]));
		apply(world, &changes[i]);
	}
	walk(world, &input, head[0] & KEEP_STATE);
	while (count > 0)
		apply(world, &changes[--count]);
	world->replay.binary_count = FILES;
	return 0;
}
