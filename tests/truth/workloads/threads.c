/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads with names and shares of their own; or, with "short", one thread of 3 ms after the other.
 *
 *	threads SECONDS [short]
 */
#include <pthread.h>

#include "workload.h"

#define THREADS 3
#define SHORT_NS 3000000

struct worker {
	pthread_t thread;
	char name[16];
	uint64_t total_ns, used_ns;
	pid_t tid;
};

NOINLINE uint64_t thread_work(uint64_t total_ns)
{
	uint64_t value = total_ns;

	while (thread_cpu_ns() < total_ns)
		for (int round = 0; round < 20000; round++)
			value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	return value;
}

static void *thread_main(void *argument)
{
	struct worker *worker = argument;

	pthread_setname_np(pthread_self(), worker->name);
	worker->tid = gettid();
	consume(thread_work(worker->total_ns));
	worker->used_ns = thread_cpu_ns();
	return NULL;
}

static void run_short(uint64_t total_ns)
{
	unsigned int count = 0;

	for (uint64_t sum = 0; sum < total_ns; count++) {
		struct worker worker = {.name = "short-lived", .total_ns = SHORT_NS};

		pthread_create(&worker.thread, NULL, thread_main, &worker);
		pthread_join(worker.thread, NULL);
		sum += worker.used_ns;
	}
	printf("{\"threads_started\": %u", count);
	print_end("threads");
}

static void run_named(uint64_t total_ns)
{
	struct worker workers[THREADS] = {0};

	for (unsigned int index = 0; index < THREADS; index++) {
		snprintf(workers[index].name, sizeof(workers[index].name), "worker-%u", index);
		workers[index].total_ns = total_ns * (index + 1) / 6;
		pthread_create(&workers[index].thread, NULL, thread_main, &workers[index]);
	}
	for (unsigned int index = 0; index < THREADS; index++)
		pthread_join(workers[index].thread, NULL);
	printf("{\"threads\": {");
	for (unsigned int index = 0; index < THREADS; index++)
		printf("%s\"%d\": {\"name\": \"%s\", \"ns\": %llu}", index ? ", " : "",
		       (int)workers[index].tid, workers[index].name,
		       (unsigned long long)workers[index].used_ns);
	printf("}");
	print_end("threads");
}

int main(int argc, char **argv)
{
	uint64_t total_ns = argument_ns(argc > 1 ? argv[1] : "1");

	if (argc > 2)
		run_short(total_ns);
	else
		run_named(total_ns);
	return 0;
}
