/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes on allocators within a budget: a share of the CPU time of each process itself.
 *
 * A probe costs a trap, whatever the program then does, so a process that allocates often cannot be probed all the
 * time. It is probed in windows: for a millisecond in each second, at a moment drawn at random, all that it allocates
 * is seen; a window cannot cost more than its length. What was seen is scaled by the process's progress: the CPU
 * time that it used, without what the probes took, over that in the windows. Wall time will not do, as in a window
 * the process does less than at other times. Every third window is longer and looks also at frees: what is allocated
 * in its first half and not freed at its end has outlived it.
 *
 * A process of which all calls cost less than half the budget is probed all the time, until they cost more than
 * the budget. Whenever that changes what is known so far is made final (heap_table_fold()).
 *
 * What all of that may cost the host is bounded, too, if it is asked for: heap_pace.h.
 *
 * A thread of its own sets and removes the probes, which waits for the kernel 8 and 30 ms. The window is not as
 * long as that: whether hits count is told to the program by a word in memory (enum heap_mode).
 */
#pragma once

#include "collect/heap_points.h"
#include "collect/heap_table.h"

struct heap_windows;

struct heap_windows_options {
	struct programs *programs;
	double budget; /* share of a process's CPU time; 1 or more: probes stay, whatever they cost */
	bool are_rare; /* as of heap_windows_set_rare() */
	double allowed; /* as of heap_windows_allow() */
};

struct heap_windows_statistics {
	uint64_t processes_in_windows, processes_always; /* now */
	uint64_t windows, late; /* that were open; that could not be closed in time: the next ones are shorter */
	uint64_t unopened; /* times that a living process's probes could not be set */
	uint64_t survivors_lost; /* objects that outlived a window and are in no estimate: out of memory, or not read */
	uint64_t unplaced; /* samples of windows that are in no total: a process has too many places, or out of memory */
	uint64_t ticks_lost; /* of CPU time in windows: what tells the program's progress there is less exact without */
	uint64_t missed; /* processes that ended before their probes were set for the first time */
	uint64_t promoted, demoted; /* to probes that stay, and back */
	double cost_ns, cpu_ns; /* of the processes: what the probes cost, what they used */
	double unmet_ns; /* of that CPU time: used while no window met the process at work; nothing of it is in any sum */
	uint64_t own_ns; /* CPU time of the thread that sets and removes probes */
	uint64_t period_ns; /* a process in windows has one in such a time now */
};

/* Adds what came before, but for what is true now. */
void heap_windows_statistics_add(struct heap_windows_statistics *statistics,
				 const struct heap_windows_statistics *earlier);

/* What came since `earlier`, but for what is true now. */
void heap_windows_statistics_subtract(struct heap_windows_statistics *statistics,
				      const struct heap_windows_statistics *earlier);

/* Measures the prices and starts the thread. Returns 0 or -errno. */
int heap_windows_new(const struct heap_windows_options *options, struct heap_windows **ret);

/* Takes all probes away. The estimates can be read until heap_windows_free(). */
void heap_windows_stop(struct heap_windows *windows);
struct heap_windows *heap_windows_free(struct heap_windows *windows);

/* A file of a process with an allocator. `index`: the process's in `heap_processes`. `file` is duplicated.
 * Returns 0 or -errno. */
int heap_windows_add(struct heap_windows *windows, uint32_t pid, uint32_t index, int file,
		     const struct heap_points *points);

/* The process stands for so many, 1 at first: so much its part in what is told of errors weighs. */
void heap_windows_weigh(struct heap_windows *windows, uint32_t pid, double factor);

/* A window of a process in each four seconds instead of in each one, at the most. What was seen at another pace becomes
 * final. */
void heap_windows_set_rare(struct heap_windows *windows, bool are_rare);

/* What windows and probes that stay may cost the host, CPU ns a second; INFINITY: no limit. */
void heap_windows_allow(struct heap_windows *windows, double allowed);

/* The process has become another program, maybe with another main thread: probes that stay are set anew. */
void heap_windows_renew(struct heap_windows *windows, uint32_t pid);

/* Are its probes there all the time? */
bool heap_windows_stays(struct heap_windows *windows, uint32_t pid);

/* The process has ended, or is not looked at any more. */
void heap_windows_remove(struct heap_windows *windows, uint32_t pid);

/* Makes final what has to be; call it several times a second. */
void heap_windows_update(struct heap_windows *windows, struct heap_table *table);

/* Scales what was seen in windows. As heap_table's `scale`. */
void heap_windows_scale(void *windows, struct heap_total *total);

/* Adds the errors of the sums since the last profile, and what has outlived its window. Returns 0 or -ENOMEM. */
int heap_windows_estimate(struct heap_windows *windows, struct heap_totals *totals);

/* A profile has told all up to now. */
void heap_windows_next_profile(struct heap_windows *windows);

void heap_windows_get_statistics(struct heap_windows *windows, struct heap_windows_statistics *ret);
