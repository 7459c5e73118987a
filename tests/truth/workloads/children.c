/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes: three forked ones with a function and a share each; with "exec", one after the
 * other that runs this program again for 5 ms; with "forks RATE", so many children a second that do
 * nothing but exit.
 *
 *	children SECONDS [exec | forks RATE]
 */
#include <sys/wait.h>

#include "workload.h"

#define SHORT_NS 5000000

static uint64_t spin_until(uint64_t total_ns)
{
	uint64_t value = total_ns;

	while (process_cpu_ns() < total_ns)
		for (int round = 0; round < 20000; round++)
			value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	return value;
}

NOINLINE uint64_t first_child_work(uint64_t total_ns)
{
	uint64_t value = spin_until(total_ns);

	KEEP_FRAME();
	return value;
}

NOINLINE uint64_t second_child_work(uint64_t total_ns)
{
	uint64_t value = spin_until(total_ns);

	KEEP_FRAME();
	return value + 1;
}

NOINLINE uint64_t third_child_work(uint64_t total_ns)
{
	uint64_t value = spin_until(total_ns);

	KEEP_FRAME();
	return value + 2;
}

NOINLINE uint64_t short_child_work(uint64_t total_ns)
{
	uint64_t value = spin_until(total_ns);

	KEEP_FRAME();
	return value + 3;
}

static void run_forked(uint64_t total_ns)
{
	static uint64_t (*const work[])(uint64_t) = {first_child_work, second_child_work,
						     third_child_work};
	static const char *const names[] = {"first_child_work", "second_child_work",
					    "third_child_work"};
	struct rusage usage;
	pid_t pids[3];
	int status;

	for (unsigned int index = 0; index < 3; index++) {
		pids[index] = fork();
		if (pids[index] == 0) {
			consume(work[index](total_ns * (index + 1) / 6));
			_exit(0);
		}
	}
	printf("{\"children\": {");
	for (unsigned int index = 0; index < 3; index++) {
		wait4(pids[index], &status, 0, &usage);
		printf("%s\"%d\": {\"function\": \"%s\", \"ns\": %llu}", index ? ", " : "",
		       (int)pids[index], names[index],
		       (unsigned long long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
				       1000000000ULL +
			       (unsigned long long)(usage.ru_utime.tv_usec +
						    usage.ru_stime.tv_usec) *
				       1000ULL);
	}
	printf("}");
}

static void run_exec(uint64_t total_ns)
{
	unsigned int count = 0;

	for (; rusage_ns(RUSAGE_CHILDREN) < total_ns; count++) {
		pid_t pid = fork();

		if (pid == 0) {
			execl("/proc/self/exe", "short-child", "5ms-child", NULL);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
	}
	printf("{\"children_started\": %u", count);
}

static void run_forks(uint64_t total_ns, unsigned int rate)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC), now = start, due;
	unsigned int count = 0;

	for (; now - start < total_ns; count++, now = clock_ns(CLOCK_MONOTONIC)) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
		due = start + (uint64_t)count * 1000000000ULL / rate;
		if (due > clock_ns(CLOCK_MONOTONIC))
			usleep((useconds_t)((due - clock_ns(CLOCK_MONOTONIC)) / 1000));
	}
	printf("{\"children_started\": %u", count);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "5ms-child"))
		return consume(short_child_work(SHORT_NS)), 0;
	if (argc > 3)
		run_forks(argument_ns(argv[1]), (unsigned int)atoi(argv[3]));
	else if (argc > 2)
		run_exec(argument_ns(argv[1]));
	else
		run_forked(argument_ns(argc > 1 ? argv[1] : "1"));
	print_end("children");
	return 0;
}
