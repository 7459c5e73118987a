/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opener for real: each test in a process of its own, because starting one gives a capability up.
 * This executable is its own opener child, as the product is.
 */
#include "collect/opener.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CAPABILITY_BIT(number) (1ULL << (number))
#define SYS_ADMIN_NUMBER 21
#define PERFMON_NUMBER 38

/* Inside the process of a test: a failed expectation ends it with the line's number. */
#define EXPECT(condition)                \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

static struct perf_event_attr clock_attr(void)
{
	return (struct perf_event_attr){.type = PERF_TYPE_SOFTWARE,
					.size = sizeof(struct perf_event_attr),
					.config = PERF_COUNT_SW_CPU_CLOCK,
					.sample_period = 1000000000,
					.disabled = 1};
}

/* A number of /proc/PID/status in the base given, or 0. */
static unsigned long long status_number(pid_t pid, const char *name, int base)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (read_whole_file(path, 65536, &text, NULL) < 0)
		return 0;
	const char *at = strstr(text, name);
	return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

/* The only child of this process. */
static pid_t only_child(void)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	return read_whole_file(path, 4096, &text, NULL) < 0 ? 0 : (pid_t)atoi(text);
}

static int open_clock(void)
{
	struct opener *opener;
	struct perf_event_attr attr = clock_attr();
	EXPECT(opener_start(&opener) == 0);
	int fd = opener_open_event(opener, &attr, 0);
	EXPECT(fd >= 0);
	EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	uint64_t count;
	EXPECT(read(fd, &count, sizeof(count)) == sizeof(count));
	close(fd);
	EXPECT(opener_open_event(opener, &attr, 1 << 20) < 0);
	EXPECT(opener_open_event(opener, &attr, 0) >= 0);
	opener_free(opener);
	return 0;
}

static int open_statistics(void)
{
	struct opener *opener;
	EXPECT(opener_start(&opener) == 0);
	int fd = opener_enable_bpf_statistics(opener);
	EXPECT(fd >= 0);
	close(fd);
	opener_free(opener);
	return 0;
}

/* What could read memory, addresses or other events' data is not opened. */
static int refuse_other_events(void)
{
	static const uint32_t types[] = {PERF_TYPE_HARDWARE, PERF_TYPE_TRACEPOINT, PERF_TYPE_RAW,
					 PERF_TYPE_BREAKPOINT, 6, 7, 8};
	struct opener *opener;
	EXPECT(opener_start(&opener) == 0);
	for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
		struct perf_event_attr attr = clock_attr();
		attr.type = types[i];
		EXPECT(opener_open_event(opener, &attr, 0) == -EPERM);
	}
	struct perf_event_attr attr = clock_attr();
	attr.config = PERF_COUNT_SW_PAGE_FAULTS;
	EXPECT(opener_open_event(opener, &attr, 0) == -EPERM);
	attr = clock_attr();
	attr.size = UINT32_MAX;
	EXPECT(opener_open_event(opener, &attr, 0) == -EPERM);
	opener_free(opener);
	return 0;
}

static int confined(void)
{
	struct opener *opener;
	struct perf_event_attr attr = clock_attr();
	EXPECT(opener_is_useful());
	EXPECT(opener_start(&opener) == 0);
	EXPECT(opener_open_event(opener, &attr, 0) >= 0); /* it is inside its sandbox now */
	pid_t child = only_child();
	EXPECT(child > 0);
	EXPECT(status_number(child, "CapEff:", 16) ==
	       (CAPABILITY_BIT(SYS_ADMIN_NUMBER) | CAPABILITY_BIT(PERFMON_NUMBER)));
	EXPECT(status_number(child, "Seccomp:", 10) == 2);
	EXPECT(status_number(child, "NoNewPrivs:", 10) == 1);
	/* and this process has lost the capability, for programs it starts as well */
	EXPECT(!opener_is_useful());
	EXPECT(!(status_number(getpid(), "CapPrm:", 16) & CAPABILITY_BIT(SYS_ADMIN_NUMBER)));
	EXPECT(!(status_number(getpid(), "CapBnd:", 16) & CAPABILITY_BIT(SYS_ADMIN_NUMBER)));
	opener_free(opener);
	return 0;
}

static int survive_its_end(void)
{
	struct opener *opener;
	struct perf_event_attr attr = clock_attr();
	EXPECT(opener_start(&opener) == 0);
	kill(only_child(), SIGKILL);
	EXPECT(opener_open_event(opener, &attr, 0) == -EPIPE);
	EXPECT(opener_enable_bpf_statistics(opener) < 0);
	opener_free(opener);
	return 0;
}

static int bound_its_silence(void)
{
	struct opener *opener;
	struct perf_event_attr attr = clock_attr();
	EXPECT(opener_start(&opener) == 0);
	EXPECT(opener_open_event(opener, &attr, 0) >= 0);
	kill(only_child(), SIGSTOP);
	EXPECT(opener_open_event(opener, &attr, 0) == -ETIMEDOUT);
	/* its late answer is not taken for that to the next question */
	kill(only_child(), SIGCONT);
	EXPECT(opener_open_event(opener, &attr, 0) == -EPIPE);
	opener_free(opener);
	return 0;
}

static void run_apart(void **state)
{
	int (*test)(void) = (int (*)(void))*state;
	if (geteuid() != 0)
		skip();
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int line = test();
		if (line)
			fprintf(stderr, "line %d does not hold\n", line);
		_exit(line != 0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define APART(test) {#test, run_apart, NULL, NULL, (void *)(test)}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], OPENER_ARGUMENT) == 0)
		return opener_child_main();
	const struct CMUnitTest tests[] = {
		APART(open_clock), APART(open_statistics), APART(refuse_other_events),
		APART(confined),   APART(survive_its_end), APART(bound_its_silence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
