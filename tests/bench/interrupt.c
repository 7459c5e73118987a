/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a clock tick costs before our programs do anything: a fast clock of one CPU, with an empty program and
 * without any, switched on and off by turns. Prints what a tick with the program takes from a loop of fixed work,
 * ns, and what one without any takes, ns. Exits with 77 without the rights.
 */
#include "clock_program.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define FREQUENCY 4000
#define PAIRS 60
#define SLICE_NS 20000000ULL
#define SKIPPED 77

static volatile uint64_t sink;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Rounds of fixed work a nanosecond during one slice. */
static double speed(void)
{
	uint64_t start = now_ns(), end = start, rounds = 0, x = start;
	for (; end - start < SLICE_NS; end = now_ns(), rounds++)
		for (int i = 0; i < 2000; i++)
			sink = x = x * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)rounds / (double)(end - start);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* What a tick of the clock takes in one pair of slices, ns. */
static double lose(int event)
{
	double off = speed();
	ioctl(event, PERF_EVENT_IOC_ENABLE, 0);
	double on = speed();
	ioctl(event, PERF_EVENT_IOC_DISABLE, 0);
	return (1 - on / off) * 1e9 / FREQUENCY;
}

int main(void)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	int program = load_empty_program();
	int event = open_clock(0, FREQUENCY), bare = open_clock(0, FREQUENCY);
	if (program < 0 || event < 0 || bare < 0 || ioctl(event, PERF_EVENT_IOC_SET_BPF, program) < 0 ||
	    sched_setaffinity(0, sizeof(one), &one) < 0) {
		fprintf(stderr, "SKIPPED: an empty program on a CPU's clock: %s\n", strerror(errno));
		return SKIPPED;
	}
	double lost[PAIRS], lost_bare[PAIRS];
	for (int i = 0; i < PAIRS; i++) {
		lost[i] = lose(event);
		lost_bare[i] = lose(bare);
	}
	qsort(lost, PAIRS, sizeof(lost[0]), compare);
	qsort(lost_bare, PAIRS, sizeof(lost_bare[0]), compare);
	printf("%.0f %.0f\n", lost[PAIRS / 2], lost_bare[PAIRS / 2]);
	return 0;
}
