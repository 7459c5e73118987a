/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the lines and the pages of memory that a walk touches, for each recorded stack and each structure: at 99 Hz
 * nearly all of them come from memory, and that is what a sample costs. Of two walks each, one that remembers
 * nothing and one that remembers all. What only helpers of the kernel touch, and code, is not counted.
 *
 * Usage: replay_touched CASE...
 */
#include "stack_case.h"
#include "touched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64
#define LINES_IN_PAGE 64
#define MOST_LINES 4096

struct touched_line {
	const char *name;
	u64 line;
};

static struct touched_line lines[MOST_LINES];
static size_t line_count;

static void add_line(const char *name, u64 line)
{
	for (size_t i = 0; i < line_count; i++)
		if (lines[i].line == line && lines[i].name == name)
			return;
	if (line_count < MOST_LINES)
		lines[line_count++] = (struct touched_line){name, line};
}

static void touch(const void *address, u64 size)
{
	u64 line;
	for (u64 at = (u64)address; at < (u64)address + size; at = (at | 7) + 1) {
		const char *name = touched_name(at, &line);
		if (name)
			add_line(name, line);
	}
}

/* The compiler's interface for -fsanitize=thread. */
#define ACCESS(size)                                                                              \
	void __tsan_read##size(void *address);                                                    \
	void __tsan_write##size(void *address);                                                   \
	void __tsan_volatile_read##size(void *address);                                           \
	void __tsan_volatile_write##size(void *address);                                          \
	void __tsan_read##size(void *address) { touch(address, size); }                           \
	void __tsan_write##size(void *address) { touch(address, size); }                          \
	void __tsan_volatile_read##size(void *address) { touch(address, size); }                  \
	void __tsan_volatile_write##size(void *address) { touch(address, size); }
ACCESS(1) ACCESS(2) ACCESS(4) ACCESS(8) ACCESS(16)
void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(void *address, long size);
void __tsan_write_range(void *address, long size);
void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void) {}
void __tsan_read_range(void *address, long size) { touch(address, (u64)size); }
void __tsan_write_range(void *address, long size) { touch(address, (u64)size); }

/* For replay_world.read_user. A case has the words that its walk used: what else is read at once with them is 0. */
static int read_user(void *userdata, void *to, u64 size, u64 address)
{
	memset(to, 0, size);
	for (u64 at = 0; at + 8 <= size; at += 8)
		stack_case_read_user(userdata, (char *)to + at, 8, address + at);
	touch(to, size);
	for (u64 at = address / LINE; at <= (address + size - 1) / LINE; at++)
		add_line("user's stack", at);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct touched_line *x = a, *y = b;
	int r = strcmp(x->name, y->name);
	return r ? r : (x->line > y->line) - (x->line < y->line);
}

static void show(const char *walk, unsigned frames)
{
	size_t pages = 0;
	qsort(lines, line_count, sizeof(lines[0]), compare);
	printf("  %s, %u frames: %zu lines\n", walk, frames, line_count);
	for (size_t i = 0, first = 0; i < line_count; i++) {
		bool is_other = i == first || lines[i].line / LINES_IN_PAGE != lines[i - 1].line / LINES_IN_PAGE;
		pages += is_other;
		if (i + 1 < line_count && lines[i + 1].name == lines[first].name)
			continue;
		printf("    %-24s %3zu lines, %2zu pages\n", lines[first].name, i + 1 - first, pages);
		first = i + 1;
		pages = 0;
	}
	line_count = 0;
}

static int count_touched(const char *path)
{
	static struct stack_case c;
	static struct replay_stack stack;
	int r = stack_case_read(&c, path);
	if (r == 0)
		r = world_finish(&c.world, false);
	if (r == 0) {
		c.world.replay.read_user = read_user;
		printf("%s\n", path);
		replay_reset();
		replay_unwind(&c.world.replay, c.registers, &stack);
		show("nothing remembered", stack.count);
		replay_unwind(&c.world.replay, c.registers, &stack);
		show("all remembered", stack.count);
	}
	stack_case_free(&c);
	return r;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (count_touched(argv[i]) < 0)
			return 1;
	return 0;
}
