/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the start of a whole-host recording to the first complete user stack: wall time, and CPU time
 * of ours (loading included) up to then; and until all binaries found at the start have their tables.
 * Without a cache, with an empty one and with a full one, a few rounds each in turn; medians.
 *
 * Every CPU is kept busy by a program with a stack some frames deep, because an idle host has no
 * stacks. Needs the rights of a recording; says so and exits with 77 without them.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/text.h"
#include "binary/parser.h"
#include "profile/recording.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 5
#define GIVE_UP_NS (10 * NS_PER_SECOND)

enum figure {
	LOAD_MS,       /* recording_new() */
	COMPLETE_MS,   /* recording_start() to the first complete stack */
	DELIVERED_MS,  /* until it was there to be used */
	CPU_MS,	       /* all of the process and its parser up to that */
	CPU_SECOND_MS, /* a second later */
	FIGURE_COUNT,
};

static const char *const figure_names[] = {"load ms", "first complete ms", "delivered ms", "CPU ms",
					   "CPU ms 1 s later"};

struct round {
	double figures[FIGURE_COUNT];
	int error;
};

static double to_ms(uint64_t ns)
{
	return (double)ns / (double)NS_PER_MS;
}

static void run_for(struct loop *loop, uint64_t ns)
{
	for (uint64_t end = monotonic_ns() + ns; monotonic_ns() < end;)
		loop_run_once(loop, 10);
}

static int measure(const char *cache_directory, struct round *round)
{
	struct loop *loop;
	struct recording *recording;
	struct recording_failure failure = {{0}};
	struct recording_options options = RECORDING_OPTIONS_DEFAULT;
	struct recording_statistics statistics;
	options.cache_directory = cache_directory;
	uint64_t begin = monotonic_ns();
	int r = loop_new(&loop);
	if (r == 0)
		r = recording_new(loop, &options, &failure, &recording);
	uint64_t loaded = monotonic_ns();
	if (r == 0)
		r = recording_start(recording, &failure);
	if (r < 0) {
		fprintf(stderr, "cannot record: %s\n", failure.text);
		return r;
	}
	do {
		loop_run_once(loop, 10);
		recording_get_statistics(recording, &statistics);
	} while (!statistics.phases.first_complete_ns && monotonic_ns() - loaded < GIVE_UP_NS);
	round->figures[LOAD_MS] = to_ms(loaded - begin);
	round->figures[COMPLETE_MS] = to_ms(statistics.phases.first_complete_ns);
	round->figures[DELIVERED_MS] = to_ms(monotonic_ns() - loaded);
	round->figures[CPU_MS] = to_ms(statistics.own_cpu_ns);
	run_for(loop, NS_PER_SECOND);
	recording_get_statistics(recording, &statistics);
	round->figures[CPU_SECOND_MS] = to_ms(statistics.own_cpu_ns);
	recording_stop(recording);
	recording_free(recording);
	loop_free(loop);
	return statistics.phases.first_complete_ns ? 0 : -ETIMEDOUT;
}

/* In a process of its own, whose CPU time then is that of one recording. */
static struct round run_round(const char *cache_directory)
{
	int pair[2];
	struct round round = {.error = -EIO};
	if (pipe(pair) < 0)
		return round;
	pid_t pid = fork();
	if (pid == 0) {
		round.error = measure(cache_directory, &round);
		_exit(write_all(pair[1], &round, sizeof(round)) < 0);
	}
	close(pair[1]);
	if (read(pair[0], &round, sizeof(round)) != sizeof(round))
		round.error = -EIO;
	close(pair[0]);
	waitpid(pid, NULL, 0);
	return round;
}

__attribute__((noinline)) static void burn(int depth)
{
	if (depth > 0)
		burn(depth - 1);
	else
		for (volatile bool busy = true; busy;)
			;
	__asm__ volatile("" ::: "memory"); /* no tail call */
}

static void start_burner(pid_t *ret)
{
	*ret = fork();
	if (*ret == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		burn(16);
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(const struct round *rounds, enum figure figure)
{
	double values[ROUNDS];
	for (size_t i = 0; i < ROUNDS; i++)
		values[i] = rounds[i].figures[figure];
	qsort(values, ROUNDS, sizeof(*values), compare_doubles);
	return values[ROUNDS / 2];
}

static void empty_directory(const char *directory)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'/*", directory);
	if (system(command) != 0)
		fprintf(stderr, "%s is not empty\n", directory);
}

static void print_figures(struct round rounds[3][ROUNDS])
{
	printf("%-20s %10s %12s %12s %12s\n", "median of 5", "no cache", "empty cache",
	       "full cache", "full / none");
	for (int figure = 0; figure < FIGURE_COUNT; figure++) {
		double none = median(rounds[0], figure), full = median(rounds[2], figure);
		printf("%-20s %10.1f %12.1f %12.1f %12.2f\n", figure_names[figure], none,
		       median(rounds[1], figure), full, full / none);
	}
}

static int run_rounds(const char *directory)
{
	struct round rounds[3][ROUNDS];
	for (size_t i = 0; i < ROUNDS; i++) {
		empty_directory(directory);
		for (size_t way = 0; way < 3; way++) {
			rounds[way][i] = run_round(way == 0 ? "" : directory);
			if (rounds[way][i].error == 0)
				continue;
			fprintf(stderr, "no recording: %s\n", strerror(-rounds[way][i].error));
			return rounds[way][i].error == -EPERM ? 77 : 1;
		}
	}
	print_figures(rounds);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "parser-child") == 0)
		return parser_child_main();
	char directory[] = "/tmp/bolometer-bench-XXXXXX";
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	_cleanup_free_ pid_t *burners = calloc((size_t)cpus, sizeof(*burners));
	if (!mkdtemp(directory) || !burners)
		return 1;
	for (long i = 0; i < cpus; i++)
		start_burner(&burners[i]);
	int status = run_rounds(directory);
	for (long i = 0; i < cpus; i++)
		kill(burners[i], SIGKILL);
	empty_directory(directory);
	rmdir(directory);
	return status;
}
