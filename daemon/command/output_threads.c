/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's thread takes jobs like the others, so that without threads everything is done all the same. */
#include "command/output_threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#define MAX_THREADS 8

struct work {
	struct output_job *jobs;
	size_t count;
	_Atomic size_t next;
};

static void *do_jobs(void *argument)
{
	struct work *work = argument;
	size_t i;
	while ((i = work->next++) < work->count) {
		struct output_job *job = &work->jobs[i];
		job->result = output_write(job->output, job->profile);
	}
	return NULL;
}

static size_t usable_cpus(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
}

static void write_all_jobs(struct output_job *jobs, size_t count)
{
	struct work work = {.jobs = jobs, .count = count};
	pthread_t threads[MAX_THREADS];
	size_t wanted = MIN_OF(MIN_OF(count, usable_cpus()), (size_t)MAX_THREADS), started = 0;
	while (started + 1 < wanted &&
	       pthread_create(&threads[started], NULL, do_jobs, &work) == 0)
		started++;
	do_jobs(&work);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

void output_write_all(struct output_job *jobs, size_t count)
{
	void (*before)(int) = count > 1 ? signal(SIGPIPE, SIG_IGN) : SIG_ERR;
	write_all_jobs(jobs, count);
	if (before != SIG_ERR)
		signal(SIGPIPE, before);
}
