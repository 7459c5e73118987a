/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/task_clock.h"

#include "base/clock.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_event(pid_t thread)
{
	struct perf_event_attr attributes = {
		.size = sizeof(attributes),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_TASK_CLOCK,
	};
	long fd = syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

void task_clock_open(uint32_t pid, struct task_clock *ret)
{
	char path[64];
	struct dirent *entry;
	*ret = (struct task_clock){.pid = pid};
	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	DIR *tasks = opendir(path);
	bool failed = !tasks;
	while (!failed && (entry = readdir(tasks))) {
		int thread = atoi(entry->d_name);
		int event = thread > 0 ? open_event(thread) : -ESRCH;
		if (event == -ESRCH)
			continue; /* not a thread, or it has ended */
		failed = event < 0 || ret->events.count >= TASK_CLOCK_THREADS || array_add(&ret->events, event) < 0;
		if (failed)
			close_fd(event);
	}
	if (tasks)
		closedir(tasks);
	if (failed)
		task_clock_close(ret);
}

void task_clock_close(struct task_clock *clock)
{
	for (size_t i = 0; i < clock->events.count; i++)
		close_fd(clock->events.items[i]);
	array_free(&clock->events);
}

uint64_t task_clock_read(const struct task_clock *clock)
{
	uint64_t sum = 0, ns;
	if (!clock->events.count)
		return process_cpu_ns((pid_t)clock->pid);
	for (size_t i = 0; i < clock->events.count; i++)
		if (read(clock->events.items[i], &ns, sizeof(ns)) == sizeof(ns))
			sum += ns;
	return sum;
}
