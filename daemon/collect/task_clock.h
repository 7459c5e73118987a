/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU time of a process to the nanosecond, for short spans, and where that time goes. The process's POSIX clock is read as
 * of the last tick of the CPUs that its threads run on; the kernel's event of task time is read as of now. The same event
 * can note, each time that a thread has run for so long, at which instruction of the program it was: also while the
 * kernel works for it. It costs the process something at each switch of context, so it is there for a moment only.
 */
#pragma once

#include "base/array.h"

#define TASK_CLOCK_THREADS 64 /* with more, the POSIX clock has to do */
#define TASK_CLOCK_MOST_TICKS 400 /* of a thread: later ones are only counted */

struct task_clock_event {
	int fd;
	void *ring; /* NULL: no ticks */
};

struct task_clock {
	uint32_t pid;
	uint64_t tick_ns;
	ARRAY(struct task_clock_event) events; /* one a thread; none: the POSIX clock */
};

/* Never fails: at worst it is the POSIX clock, without ticks. `tick_ns`: CPU time between two ticks of a thread; 0: there
 * are none. Until task_clock_start() it stands still. Close with task_clock_close(). */
void task_clock_open(uint32_t pid, uint64_t tick_ns, struct task_clock *ret);
void task_clock_start(const struct task_clock *clock);
/* It goes no further, and can be read. */
void task_clock_stop(const struct task_clock *clock);
void task_clock_close(struct task_clock *clock);

/* What a tick costs, ns of CPU time: 1 to 2 us where the clock is the machine's own, 15 us in some virtual machines. Takes
 * some 10 ms. 0: it cannot be measured. */
double task_clock_tick_cost(void);

/* In ns, from an origin of its own. */
uint64_t task_clock_read(const struct task_clock *clock);

/* `address`: of the instruction of the program at which a thread was. */
typedef void (*task_tick_callback)(void *userdata, uint64_t address);

/* Calls for each tick of a clock that was stopped. Returns how many more there were that are not known: past
 * TASK_CLOCK_MOST_TICKS of a thread, or of one for which there was no memory. */
uint64_t task_clock_each_tick(const struct task_clock *clock, task_tick_callback callback, void *userdata);
