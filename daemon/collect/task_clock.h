/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU time of a process to the nanosecond, for short spans. The process's POSIX clock is read as of the last tick of
 * the CPUs that its threads run on; the kernel's event of task time is read as of now. It costs the process something
 * at each switch of context, so it is there for a moment only.
 */
#pragma once

#include "base/array.h"

#define TASK_CLOCK_THREADS 64 /* with more, the POSIX clock has to do */

struct task_clock {
	uint32_t pid;
	ARRAY(int) events; /* one a thread; none: the POSIX clock */
};

/* Never fails: at worst it is the POSIX clock. Close with task_clock_close(). */
void task_clock_open(uint32_t pid, struct task_clock *ret);
void task_clock_close(struct task_clock *clock);

/* In ns, from an origin of its own. */
uint64_t task_clock_read(const struct task_clock *clock);
