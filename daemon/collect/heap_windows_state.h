/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the windows, for the files heap_windows*.c alone. */
#pragma once

#include "base/array.h"
#include "collect/heap_phase.h"
#include "collect/heap_prices.h"
#include "collect/heap_windows.h"

#include <pthread.h>

#define PERIOD_NS NS_PER_SECOND
#define RARE_PERIOD_NS (4 * NS_PER_SECOND)
#define WINDOW_NS NS_PER_MS
#define WINDOW_SAMPLES 50 /* aimed at */
#define SURVIVOR_WINDOWS 10 /* one of so many looks also at frees, first the fifth */

struct window_file {
	int file;
	struct heap_points points;
	struct heap_attached attached;
};

/* Of all that outlived windows, what came from one place. */
struct survivor {
	struct heap_site_key site;
	double bytes;
};

struct survivors {
	struct survivor *items;
	size_t count, capacity;
};

/* Of sums over processes; see struct heap_phase_scale. */
struct window_errors {
	double objects_low, objects_high, bytes_low, bytes_high;
};

struct window_process {
	uint32_t pid, index;
	uint64_t process_start; /* guarded; as in the keys of its places; 0: it has none */
	bool stays; /* its probes do */
	bool is_stepped, was_attached;
	ARRAY(struct window_file) files;
	uint64_t due_ns, window_ns, number, armed_ns;
	unsigned quiet_windows; /* one after another, with few hits */
	bool was_busy; /* had a window with more */
	uint64_t period_ns; /* between its windows since the phase began */
	struct heap_process judged; /* counts at the last judgement */
	uint64_t judged_cpu;
	unsigned looks; /* since then */
	double recent_cost, recent_cpu; /* in windows since the last change, all hits as in one that looks at frees */

	/* guarded */
	ARRAY(struct window_file) added;
	bool has_ended, must_fold, must_renew;
	bool is_closed; /* it has ended, and the thread is done with it */
	struct heap_phase phase;
	struct heap_phase_state told; /* of the phase, up to the last profile; zeros: none of it */
	double cpu_begin, cpu, cost; /* since the phase began */
	uint64_t wall_begin, wall; /* CLOCK_MONOTONIC ns; when the CPU time was last read */
	uint64_t memory; /* bytes it has without a file, some swapped out; lately; 0: not known */
	struct survivors survivors; /* since the phase began */
	struct survivors final;	    /* scaled */
};

struct heap_windows {
	struct heap_windows_options options;
	struct heap_prices prices;
	struct heap_process *counts; /* mapped */
	size_t counts_size;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool running, stop;
	uint64_t period_ns; /* atomic: from now on */
	uint64_t random;
	uint64_t memory_read_ns; /* CLOCK_MONOTONIC */
	ARRAY(struct window_process *) processes;
	struct window_errors final_errors; /* of phases that are over, since the last profile */
	struct heap_windows_statistics statistics;
};

/* The latest of that number, or NULL. With the lock held. */
struct window_process *heap_windows_find(const struct heap_windows *w, uint32_t pid);

/* Whose places are whose is told by when the processes started: numbers come again. With the lock held. */
void heap_windows_note_start(const struct heap_windows *w, struct window_process *p);

/* Adds to what came from that place. Returns 0 or -ENOMEM. */
int heap_windows_add_survivor(struct survivors *survivors, const struct survivor *more);

/* Its files are closed, its probes removed. */
void heap_windows_free_process(struct heap_windows *w, struct window_process *p);

/* ---- heap_windows_probe.c: the thread's work ---------------------------------------------------- */

/* A window of a process, or a look at probes that stay. `files_came`: since the last time. */
void heap_windows_work_on(struct heap_windows *w, struct window_process *p, bool files_came);
/* Nothing is counted from the beginning of it on. */
void heap_windows_detach(struct heap_windows *w, struct window_process *p);

/* Sets the probes that are set once more, then takes the old ones away. */
void heap_windows_reattach(struct heap_windows *w, struct window_process *p);
