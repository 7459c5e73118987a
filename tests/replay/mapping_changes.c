/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel side keeps of a process's mappings must never be told of another process, of another program in the
 * same one, or after the mapping has changed; what has not changed must be found again with fewer reads.
 *
 * The files have no tables and the frame pointer is 0: a walk has one frame, whose word says which file was found.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

#define CODE 0x400000ULL
#define OTHER_CODE 0x500000ULL
#define MAPPING_SIZE 0x10000ULL
#define IN_MAPPING 0x8123ULL
#define PAGE 4096

static unsigned failures;

static int read_nothing(void *userdata, void *to, u64 size, u64 address)
{
	return -1;
}

/* Two mappings, of two files out of `files` that the test alone has: their slots are like no other world's. */
static int make_world(struct world *world, unsigned first_file, u64 process_start, u32 exec_id)
{
	char name[16];
	for (unsigned i = 0; i < first_file + 2; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		if (!world_file(world, name))
			return -1;
	}
	world->replay = (struct replay_world){.read_user = read_nothing, .process_start = process_start, .exec_id = exec_id};
	if (world_add_mapping(world, CODE, CODE + MAPPING_SIZE, 0, true, &world->files.items[first_file]) < 0 ||
	    world_add_mapping(world, OTHER_CODE, OTHER_CODE + MAPPING_SIZE, 0, true,
			      &world->files.items[first_file + 1]) < 0)
		return -1;
	return world_finish(world, false);
}

/* Walks from an address. Returns how many kernel objects were read. */
static u32 expect(const char *what, struct world *world, u64 address)
{
	static struct replay_stack stack;
	u64 registers[REPLAY_REGISTERS] = {0}, expected = world_frame_word(world, address);
	registers[REPLAY_REGISTER_PC] = address;
	replay_unwind(&world->replay, registers, &stack);
	if (stack.count != 1 || stack.frames[0] != expected) {
		printf("%s: %u frames, %#llx, expected %#llx\n", what, stack.count, (unsigned long long)stack.frames[0],
		       (unsigned long long)expected);
		failures++;
	}
	return stack.kernel_reads;
}

static void expect_less(const char *what, u32 reads, u32 than)
{
	if (reads < than)
		return;
	printf("%s: %u reads, %u before\n", what, reads, than);
	failures++;
}

/* Three processes with other files at the same addresses; one of them is refused before it is walked. */
static void check_processes(void)
{
	struct world large = {0}, refused = {0}, small = {0};
	if (make_world(&large, 0, 1, 0) < 0 || make_world(&refused, 2, 2, 0) < 0 || make_world(&small, 4, 3, 0) < 0)
		failures++;
	expect("the first process", &small, CODE + IN_MAPPING);
	expect("the second one", &large, CODE + IN_MAPPING);
	expect("the second one, its other mapping", &large, OTHER_CODE + IN_MAPPING);
	replay_refuse(&refused.replay);
	expect("the first one again, its other mapping", &small, OTHER_CODE + IN_MAPPING);
	expect("the refused one", &refused, OTHER_CODE + IN_MAPPING);
	world_free(&large);
	world_free(&refused);
	world_free(&small);
}

/* An exec, after which the mm_struct lies where one lay before. */
static void check_exec(void)
{
	struct world before = {0}, after = {0};
	if (make_world(&before, 0, 1, 0) < 0 || make_world(&after, 2, 1, 1) < 0)
		failures++;
	expect("before an exec", &before, CODE + IN_MAPPING);
	expect("after it", &after, CODE + IN_MAPPING);
	world_free(&before);
	world_free(&after);
}

/* Changes the second mapping, alone in the way that `change` has. */
static void change_mapping(struct world *world, unsigned change)
{
	struct replay_mapping *mapping = &world->mappings.items[1];
	struct world_file *file = &world->files.items[1];
	switch (change) {
	case 0:
		mapping->key.inode++;
		break;
	case 1:
		mapping->key.size++;
		break;
	case 2:
		mapping->key.mtime_ns++;
		break;
	case 3:
		mapping->key.mtime_ns += 1000000000;
		break;
	case 4:
		mapping->offset += PAGE;
		break;
	case 5:
		mapping->executable = false;
		break;
	case 6:
		mapping->end = mapping->start + PAGE;
		break;
	case 7:
		mapping->start = mapping->end - PAGE;
		break;
	case 8:
		mapping->has_file = false;
		break;
	default:
		return;
	}
	file->binary.key = mapping->key;
}

static void check_change(unsigned change)
{
	char what[64];
	struct world world = {0};
	struct replay_binary *known = NULL;
	if (make_world(&world, 0, 1, 0) < 0)
		failures++;
	u32 found = expect("a mapping", &world, CODE + IN_MAPPING);
	expect("another one", &world, OTHER_CODE + IN_MAPPING);
	change_mapping(&world, change);
	world_change(&world);
	/* What the daemon would have told of the file as it is now. */
	known = &world.binaries.items[1];
	*known = world.files.items[1].binary;
	known->entry.slot += 100;
	world.files.items[1].binary.entry.slot += 100;
	snprintf(what, sizeof(what), "changed in way %u", change);
	if (change > 3) { /* the same file: the same slot */
		known->entry.slot -= 100;
		world.files.items[1].binary.entry.slot -= 100;
	}
	expect(what, &world, OTHER_CODE + IN_MAPPING);
	u32 proven = expect("one that did not change", &world, CODE + IN_MAPPING);
	expect_less("one that did not change is proven", proven, found);
	expect_less("one that is known", expect("once more", &world, CODE + IN_MAPPING), proven);
	world_free(&world);
}

int main(void)
{
	check_processes();
	check_exec();
	for (unsigned change = 0; change < 10; change++)
		check_change(change);
	printf("%u failures\n", failures);
	return failures ? 1 : 0;
}
