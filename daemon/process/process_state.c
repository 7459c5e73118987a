/* SPDX-License-Identifier: Apache-2.0 */
#include "process/process_state.h"

#include "base/file.h"
#include "process/proc_text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum process_state { RUNS, IS_LEADERLESS, HAS_ENDED };

/* The directory of a process's threads has two links, and one for each that has not ended (proc_task_getattr()); the
 * main thread, once it has ended, is counted while others go on, and when it waits to be waited for. */
#define LINKS_OF_LAST_THREAD 3

bool process_threads_go_on(const char *proc_path, uint32_t pid)
{
	char path[PATH_MAX];
	struct stat tasks;
	snprintf(path, sizeof(path), "%s/%u/task", proc_path, pid);
	return lstat(path, &tasks) == 0 && tasks.st_nlink > LINKS_OF_LAST_THREAD;
}

static enum process_state state_of(uint32_t pid)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct proc_stat stat;
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	int r = read_whole_file(path, 4096, &text, &size);
	if (r < 0)
		return r == -ENOENT || r == -ESRCH ? HAS_ENDED : RUNS;
	if (proc_stat_parse((struct slice){text, size}, &stat) < 0 || (stat.state != 'Z' && stat.state != 'X'))
		return RUNS;
	return process_threads_go_on("/proc", pid) ? IS_LEADERLESS : HAS_ENDED;
}

bool process_has_ended(uint32_t pid)
{
	return state_of(pid) == HAS_ENDED;
}

bool process_is_leaderless(uint32_t pid)
{
	return state_of(pid) == IS_LEADERLESS;
}
