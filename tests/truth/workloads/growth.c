/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is touched for the first time: so many bytes at each of some functions, named with their
 * bytes in the line of truth. What the kernel says of the process afterwards stands beside it.
 *
 *	growth PART MEGABYTES
 *
 * Parts: small, turns (two functions, one page of four), large (huge pages), file, shared, brk, stack,
 * fork (a child writes to what its parent has). Memory is touched at some pace, as programs do that also
 * compute.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "workload.h"

#define PAGE 4096UL
#define MEGABYTE (1UL << 20)
#define LARGE_PAGE (2 * MEGABYTE)
#define PAUSE_PAGES 128 /* half a megabyte */
#define PAUSE_NS 10000000
#define SETTLE_US 300000 /* what was done before is over, and the period of the event down again */
#define FRAME_PAGES 32 /* of the stack */

static void rest(void)
{
	struct timespec pause = {.tv_nsec = PAUSE_NS};

	nanosleep(&pause, NULL);
}

static inline void touch(char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE) {
		at[i] = 1;
		if (i / PAGE % PAUSE_PAGES == PAUSE_PAGES - 1)
			rest();
	}
}

static char *map(size_t bytes, int flags, int fd)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return memory;
}

NOINLINE void touch_small_pages(size_t bytes)
{
	char *memory = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(memory, bytes, MADV_NOHUGEPAGE);
	touch(memory, bytes);
	KEEP_FRAME();
}

NOINLINE void touch_three_of_four(char *memory)
{
	memory[0] = memory[PAGE] = memory[2 * PAGE] = 1;
	KEEP_FRAME();
}

NOINLINE void touch_one_of_four(char *memory)
{
	memory[3 * PAGE] = 1;
	KEEP_FRAME();
}

static void touch_in_turns(size_t bytes)
{
	char *memory = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(memory, bytes, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < bytes; i += 4 * PAGE) {
		touch_three_of_four(memory + i);
		touch_one_of_four(memory + i);
		if (i / PAGE % PAUSE_PAGES == 0)
			rest();
	}
}

NOINLINE void touch_large_pages(size_t bytes)
{
	char *memory = map(bytes + LARGE_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	memory += -(uintptr_t)memory & (LARGE_PAGE - 1);
	madvise(memory, bytes, MADV_HUGEPAGE);
	touch(memory, bytes);
	KEEP_FRAME();
}

NOINLINE void touch_file(size_t bytes)
{
	char name[] = "/var/tmp/growth-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0 || unlink(name) < 0 || ftruncate(fd, (off_t)bytes) < 0) {
		perror(name);
		exit(1);
	}
	touch(map(bytes, MAP_SHARED, fd), bytes);
	KEEP_FRAME();
}

NOINLINE void touch_shared(size_t bytes)
{
	touch(map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1), bytes);
	KEEP_FRAME();
}

NOINLINE void touch_brk(size_t bytes)
{
	char *memory = sbrk((intptr_t)bytes);

	touch(memory, bytes);
	KEEP_FRAME();
}

/* Frames of many pages, from their top: a stack of them is not too deep to be walked. */
NOINLINE size_t touch_stack(size_t frames)
{
	volatile char frame[FRAME_PAGES * PAGE];

	for (size_t i = sizeof(frame); i > 0; i -= PAGE)
		frame[i - 1] = 1;
	if (frames % (PAUSE_PAGES / FRAME_PAGES) == 0)
		rest();
	return (frames > 1 ? touch_stack(frames - 1) : 0) + (size_t)frame[0];
}

/* So much more than it has now, of which some is touched already; 128 MiB below it are free whatever the limit was. */
static void raise_stack_limit(size_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) < 0)
		return;
	limit.rlim_cur = bytes + 4 * MEGABYTE;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max)
		limit.rlim_max = limit.rlim_cur;
	if (setrlimit(RLIMIT_STACK, &limit) < 0) {
		perror("setrlimit");
		exit(1);
	}
}

NOINLINE void write_in_child(char *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE) {
		memory[i] = 2;
		if (i / PAGE % PAUSE_PAGES == 0)
			rest();
	}
	KEEP_FRAME();
}

static int touch_after_fork(size_t bytes)
{
	char *memory = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int status;

	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
	usleep(SETTLE_US);
	pid_t child = fork();
	if (child == 0) {
		write_in_child(memory, bytes);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return child;
}

static long status_kilobytes(const char *name)
{
	char line[256];
	long kilobytes = -1;
	FILE *status = fopen("/proc/self/status", "r");

	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			kilobytes = strtol(line + strlen(name) + 1, NULL, 10);
	if (status)
		fclose(status);
	return kilobytes;
}

/* Memory in large pages, kilobytes: a host may have none to give. */
static long large_kilobytes(void)
{
	char line[256];
	long kilobytes = 0;
	FILE *rollup = fopen("/proc/self/smaps_rollup", "r");

	while (rollup && fgets(line, sizeof(line), rollup))
		if (strncmp(line, "AnonHugePages:", 14) == 0)
			kilobytes = strtol(line + 14, NULL, 10);
	if (rollup)
		fclose(rollup);
	return kilobytes;
}

int main(int argc, char **argv)
{
	const char *part = argc > 1 ? argv[1] : "small";
	size_t bytes = (size_t)(argc > 2 ? atol(argv[2]) : 64) * MEGABYTE;
	int child = 0;

	usleep(SETTLE_US);
	if (strcmp(part, "small") == 0)
		touch_small_pages(bytes);
	else if (strcmp(part, "turns") == 0)
		touch_in_turns(bytes);
	else if (strcmp(part, "large") == 0)
		touch_large_pages(bytes);
	else if (strcmp(part, "file") == 0)
		touch_file(bytes);
	else if (strcmp(part, "shared") == 0)
		touch_shared(bytes);
	else if (strcmp(part, "brk") == 0)
		touch_brk(bytes);
	else if (strcmp(part, "stack") == 0) {
		raise_stack_limit(bytes);
		touch_stack(bytes / (FRAME_PAGES * PAGE));
	} else if (strcmp(part, "fork") == 0)
		child = touch_after_fork(bytes);
	printf("{\"pid\": %d, \"child\": %d, \"bytes\": %zu, \"anonymous\": %ld, \"large\": %ld}\n", getpid(),
	       child, bytes, status_kilobytes("RssAnon") * 1024, large_kilobytes() * 1024);
	return 0;
}
