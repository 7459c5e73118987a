/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays recorded stacks (stack_case.h), with the mappings in either kind of tree.
 *
 * Usage: replay_cases DIRECTORY
 */
#include "stack_case.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TURNS 4 /* as many as are kept */

static bool matches(const struct stack_case *c, const struct replay_stack *stack)
{
	return stack->end == c->expected.end && stack->count == c->expected.count &&
	       !memcmp(stack->frames, c->expected.frames, stack->count * sizeof(u64));
}

static void show(const char *path, const struct stack_case *c, const struct replay_stack *stack)
{
	printf("%s: end %u, expected %u\n", path, stack->end, c->expected.end);
	for (u32 i = 0; i < MAX_OF(stack->count, c->expected.count); i++)
		printf("  %u: %#llx, expected %#llx\n", i,
		       i < stack->count ? (unsigned long long)stack->frames[i] : 0ULL,
		       i < c->expected.count ? (unsigned long long)c->expected.frames[i] : 0ULL);
}

static int walk(const char *path, struct stack_case *c, struct replay_stack *stack)
{
	replay_unwind(&c->world.replay, c->registers, stack);
	if (matches(c, stack))
		return 0;
	show(path, c, stack);
	return -EILSEQ;
}

/* Processes that take turns, each as large as this one: what was found for one is found again after the others. */
static int replay_turns(const char *path, struct stack_case *c, struct replay_stack *stack)
{
	u32 steady = stack->kernel_reads;
	int r = 0;
	for (u64 turn = 0; turn < 3 * TURNS && r == 0; turn++) {
		c->world.replay.process_start = turn % TURNS;
		r = walk(path, c, stack);
		if (r == 0 && turn >= TURNS && stack->kernel_reads > steady) {
			printf("%s: %u reads of kernel objects, %u in the same process\n", path, stack->kernel_reads, steady);
			r = -EILSEQ;
		}
	}
	return r;
}

static int replay(const char *path)
{
	static struct stack_case c;
	static struct replay_stack stack;
	int r = stack_case_read(&c, path);
	for (int red_black_tree = 0; red_black_tree < 2 && r == 0; red_black_tree++) {
		r = world_finish(&c.world, red_black_tree);
		/* Twice: the second walk finds its mappings and rules remembered. */
		for (int i = 0; i < 2 && r == 0; i++)
			r = walk(path, &c, &stack);
		if (r == 0)
			r = replay_turns(path, &c, &stack);
	}
	stack_case_free(&c);
	if (r < 0 && r != -ENOTSUP)
		printf("%s: %s\n", path, strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	unsigned replayed = 0, failed = 0, foreign = 0;
	DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
	if (!directory)
		return 2;
	for (struct dirent *entry; (entry = readdir(directory));) {
		char path[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		int r = replay(path);
		replayed += r == 0;
		foreign += r == -ENOTSUP;
		failed += r < 0 && r != -ENOTSUP;
	}
	closedir(directory);
	printf("%u replayed, %u failed, %u of another machine\n", replayed, failed, foreign);
	return failed ? 1 : replayed ? 0 : 77;
}
