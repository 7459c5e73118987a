/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates known numbers of objects and bytes, and becomes or starts another program, which does the same:
 *
 *	heap_programs exec		becomes `heap_programs after`
 *	heap_programs thread_exec	the same, by a thread that is not the first one
 *	heap_programs spawn		starts it by posix_spawn(), then frees half of its own blocks
 *	heap_programs forks		forks children again and again while two threads allocate; the children
 *					free what they inherit, allocate and end
 *
 * Each program first waits until its allocator is probed. It says what it did on one line: process, place,
 * objects and bytes allocated, objects and bytes still held. The last one then waits for the end of its input.
 */
#include "workload.h"

#include "heap_probed.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

#define BLOCKS 400
#define CHILDREN 20

static struct {
	uint64_t objects, bytes, held_objects, held_bytes;
} truth;

static void *blocks[BLOCKS];
static size_t sizes[BLOCKS];

static void hold(unsigned i, void *block, size_t size)
{
	blocks[i] = block;
	sizes[i] = size;
	truth.objects++;
	truth.bytes += size;
	truth.held_objects++;
	truth.held_bytes += size;
}

static void give_back(unsigned i)
{
	free(blocks[i]);
	truth.held_objects--;
	truth.held_bytes -= sizes[i];
}

NOINLINE void before_it(unsigned i)
{
	size_t size = 1000 + i;
	void *volatile block = malloc(size);

	KEEP_FRAME();
	hold(i, block, size);
}

NOINLINE void after_it(unsigned i)
{
	size_t size = 3000 + i;
	void *volatile block = malloc(size);

	KEEP_FRAME();
	hold(i, block, size);
}

NOINLINE void in_child(void)
{
	void *volatile block = malloc(5000);

	KEEP_FRAME();
	free(block);
}

static void say(const char *place, int probed)
{
	printf("{\"pid\": %d, \"probed\": %d, \"place\": \"%s\", \"values\": [%llu, %llu, %llu, %llu]}\n", getpid(),
	       probed, place, (unsigned long long)truth.objects, (unsigned long long)truth.bytes,
	       (unsigned long long)truth.held_objects, (unsigned long long)truth.held_bytes);
	fflush(stdout);
}

static void *become_another(void *path)
{
	execl(path, path, "after", NULL);
	abort();
}

static void exec_by_thread(char *path)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, become_another, path) == 0)
		pthread_join(thread, NULL);
	abort();
}

static void spawn(char *path)
{
	extern char **environ;
	char after[] = "after", *arguments[] = {path, after, NULL};
	pid_t child;

	if (posix_spawn(&child, path, NULL, NULL, arguments, environ))
		abort();
	for (unsigned i = 0; i < BLOCKS; i += 2)
		give_back(i);
}

/* ---- Forks ------------------------------------------------------------------------------------ */

static int is_over;
static uint64_t objects, bytes;

NOINLINE void between_forks(unsigned i)
{
	size_t size = 100 + i % 1000;
	void *volatile block = malloc(size);

	KEEP_FRAME();
	__atomic_add_fetch(&objects, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&bytes, size, __ATOMIC_RELAXED);
	free(block);
}

static void *allocate(void *argument)
{
	for (unsigned i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
		between_forks(i);
		if (i % 64 == 0)
			usleep(1000);
	}
	return argument;
}

static void fork_child(void)
{
	pid_t child = fork();

	if (child < 0)
		abort();
	if (child) {
		waitpid(child, NULL, 0);
		return;
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		free(blocks[i]);
		in_child();
	}
	_exit(0);
}

static void fork_among_threads(void)
{
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, allocate, NULL))
			abort();
	for (unsigned i = 0; i < CHILDREN; i++)
		fork_child();
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	static char buffer[1024];
	const char *how = argc > 1 ? argv[1] : "";
	int is_after = !strcmp(how, "after");

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	int probed = wait_for_probes();
	for (unsigned i = 0; i < BLOCKS; i++)
		is_after ? after_it(i) : before_it(i);
	if (!strcmp(how, "spawn"))
		spawn(argv[0]);
	if (!strcmp(how, "forks")) {
		fork_among_threads();
		printf("{\"pid\": %d, \"probed\": %d, \"place\": \"between_forks\", \"values\": [%llu, %llu, 0, 0]}\n",
		       getpid(), probed, (unsigned long long)objects, (unsigned long long)bytes);
	}
	say(is_after ? "after_it" : "before_it", probed);
	if (!strcmp(how, "exec"))
		become_another(argv[0]);
	if (!strcmp(how, "thread_exec"))
		exec_by_thread(argv[0]);
	while (getchar() != EOF)
		;
	return 0;
}
