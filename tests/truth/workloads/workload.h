/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs with known truth share: reading their own CPU time, working in slices, and saying
 * on one line what a profiler must find.
 *
 * A program's truth is measured, not assumed: it works in slices of pseudo-random length (so that
 * they cannot beat with the sampling tick), reads the thread's CPU clock between slices and adds up
 * what each function used. The clock is read by the caller of the measured function, between
 * the slices and no more often: a reading is a system call, 0.5 us on an idle host and several
 * where it is also the point at which the scheduler takes the CPU away.
 */
#pragma once

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SLICE_NS 6000000 /* a piece of work, in the mean; the shortest are half as long */

/* C++ workloads may meet clang, which does not clone and does not know the attribute. */
#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

/* Keeps a call from becoming a tail call: the caller must stay on the stack. */
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* A function of its own, so that its time is never taken for that of a caller under test. */
static NOINLINE __attribute__((unused)) uint64_t thread_cpu_ns(void)
{
	uint64_t now = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	KEEP_FRAME();
	return now;
}

/* CPU time of the whole process, as the kernel accounts it. */
static inline uint64_t process_cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static inline uint64_t rusage_ns(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ULL +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ULL;
}

static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* `seconds` of CPU time from an argument, such as "2.5". */
static inline uint64_t argument_ns(const char *text)
{
	return (uint64_t)(atof(text) * 1e9);
}

/* One kind of work and what it has used. `work` runs `units` small pieces. */
struct part {
	const char *name;
	uint64_t (*work)(uint64_t units, uint64_t seed);
	unsigned int weight; /* share of the slices, of 16 */
	uint64_t units;	     /* about SLICE_NS, found by calibrate_part() */
	uint64_t used_ns;
};

/* The optimizer must believe that results matter. */
static inline void consume(uint64_t value)
{
	__asm__ volatile("" ::"r"(value));
}

static inline void calibrate_part(struct part *part)
{
	uint64_t before, used = 0;

	for (part->units = 256; used < 300000; part->units *= 2) {
		before = thread_cpu_ns();
		consume(part->work(part->units, 1));
		used = thread_cpu_ns() - before;
		part->used_ns += used;
	}
	part->units = part->units / 2 * SLICE_NS / used + 1;
}

/* Works until the thread has used `total_ns` of CPU time, by the parts' weights. */
static inline void work_in_parts(struct part *parts, unsigned int count, uint64_t total_ns,
				 uint64_t seed)
{
	uint64_t start = thread_cpu_ns(), before, now, units;
	unsigned int choice, index;

	for (index = 0; index < count; index++)
		calibrate_part(&parts[index]);
	for (now = thread_cpu_ns(); now - start < total_ns;) {
		choice = (unsigned int)(random_next(&seed) >> 60);
		for (index = 0; index + 1 < count && choice >= parts[index].weight; index++)
			choice -= parts[index].weight;
		units = parts[index].units / 2 + random_next(&seed) % parts[index].units;
		before = now;
		consume(parts[index].work(units, seed));
		now = thread_cpu_ns();
		parts[index].used_ns += now - before;
	}
}

/* Truth is one JSON object on a line of its own; the checker reads the last one. */
static inline void print_parts(const struct part *parts, unsigned int count)
{
	printf("\"functions\": {");
	for (unsigned int index = 0; index < count; index++)
		printf("%s\"%s\": %llu", index ? ", " : "", parts[index].name,
		       (unsigned long long)parts[index].used_ns);
	printf("}");
}

/* Work of some nanoseconds a step. */
static NOINLINE __attribute__((unused)) uint64_t spin(uint64_t steps)
{
	uint64_t value = steps;

	for (uint64_t i = 0; i < steps; i++)
		value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	KEEP_FRAME();
	return value;
}

/* Of spin(): as many as take so long, ns, by how many fit into a time before. */
static inline uint64_t steps_in(double ns)
{
	const uint64_t tried = 1 << 20;
	uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	consume(spin(tried));
	double used = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin);
	return (uint64_t)(used > 0 ? ns * (double)tried / used : ns) + 1;
}

static inline unsigned long long context_switches(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (unsigned long long)(usage.ru_nvcsw + usage.ru_nivcsw);
}

/* The end of every truth: what the kernel says the process and its children used, and into how many
 * pieces the scheduler cut it. */
static inline void print_end(const char *workload)
{
	printf(", \"workload\": \"%s\", \"pid\": %d, \"self_ns\": %llu, \"children_ns\": %llu, "
	       "\"switches\": %llu}\n",
	       workload, (int)getpid(), (unsigned long long)process_cpu_ns(),
	       (unsigned long long)rusage_ns(RUSAGE_CHILDREN),
	       context_switches(RUSAGE_SELF) + context_switches(RUSAGE_CHILDREN));
	fflush(stdout);
}
