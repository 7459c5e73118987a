/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the windows, for the files heap_windows*.c alone. */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "collect/heap_pace.h"
#include "collect/heap_phase.h"
#include "collect/heap_prices.h"
#include "collect/heap_shares.h"
#include "collect/heap_spending.h"
#include "collect/heap_windows.h"

#include <pthread.h>

struct task_clock;

#define PERIOD_NS NS_PER_SECOND
#define RARE_PERIOD_NS (4 * NS_PER_SECOND)
#define WINDOW_NS NS_PER_MS
#define WINDOW_SAMPLES 50 /* aimed at; after so many fewer are taken */
#define WATCHED_SAMPLES 200 /* in one that looks at frees */
#define HEAP_MOST_PLACES 16384 /* of a process */
#define HEAP_TURNS 8 /* of which the CPU time is remembered: a pause between two bursts is no rest */
#define SURVIVOR_WINDOWS 3 /* one of so many looks also at frees, first the second */

struct window_file {
	int file;
	struct heap_points points;
	struct heap_attached attached;
};

/* A variance is that of the value before it. */
struct heap_sums {
	double objects, object_variance, bytes, byte_variance;
};

/* Of the samples of one place that were taken in windows. */
struct window_place {
	struct heap_site_key site;
	struct heap_sums seen[HEAP_STRATA]; /* since the phase began, in windows of each stratum, by their weights */
	uint64_t samples;	 /* of that */
	struct heap_share share;
	/* In windows that look at frees: */
	double bytes; /* with all weights, those that outlived their window, since the phase began */
	double final_bytes; /* before, scaled */
	uint64_t watched;   /* before, how many were taken */
	uint64_t outlived;  /* of all, how many outlived their window */
	uint64_t older, alive; /* of them, those of older windows that are followed, and those not seen to die later */
};

/* Of one window and place, how many samples outlived it. */
struct cohort {
	uint64_t window, place; /* index of the place in `places` */
	uint64_t outlived;
	uint64_t frees; /* of the process, seen by then */
};

/* What a process had, the first reading the oldest; one in `every` + 1 that were made. */
struct memory_readings {
	uint64_t bytes[64];
	size_t count;
	unsigned every, skipped;
};

/* Of sums over processes; see struct heap_phase_scale. */
struct window_errors {
	double objects_low, objects_high, bytes_low, bytes_high;
};

/* The scale of a phase, as it was when that had so many windows and its CPU time was read last. */
struct known_scale {
	struct heap_phase_scale scale;
	uint64_t windows, wall_begin, wall;
};

struct window_process {
	uint32_t pid, index;
	uint64_t process_start; /* guarded; as in the keys of its places; 0: it has none */
	bool stays; /* its probes do */
	bool is_stepped, was_attached;
	ARRAY(struct window_file) files;
	uint64_t due_ns, window_ns, number, armed_ns;
	double window_weight; /* of its last window: struct heap_window_reading */
	unsigned put_off; /* windows since then, as its budget was spent */
	unsigned quiet_windows; /* one after another, with few hits */
	bool was_busy; /* had a window with more */
	uint64_t period_ns; /* between its windows since the phase began */
	uint64_t turn_cpu, turn_ns; /* its CPU time at its last turn, and when that was, ns */
	double turn_shares[HEAP_TURNS]; /* CPUs it used between two turns, of the last ones: `turns` modulo their number is the next */
	unsigned turns;
	struct heap_process judged; /* counts at the last judgement */
	uint64_t judged_cpu, judged_ns;
	unsigned looks; /* since then */
	ARRAY(struct cohort) cohorts; /* that are followed, the oldest window first */
	/* In windows since the last change, all hits as in one that looks at frees; and the CPU time that such windows had
	 * if they met as much as other times, ns. */
	double recent_cost, recent_cpu, usual_cpu;
	struct heap_spending spending; /* as of its last window, or the last judgement */

	/* guarded */
	ARRAY(struct window_file) added;
	bool has_ended, must_fold, must_renew;
	bool is_closed; /* it has ended, and the thread is done with it */
	struct heap_phase phase;
	struct known_scale known_scale;
	struct heap_phase_state told; /* of the phase, up to the last profile; zeros: none of it */
	double staying; /* what its probes that stay cost, ns a second, at the last judgement */
	double cpu_begin, cpu, cost; /* since the phase began */
	uint64_t wall_begin, wall; /* CLOCK_MONOTONIC ns; when the CPU time was last read */
	uint64_t memory; /* bytes it has without a file, some swapped out; lately; 0: not known */
	uint64_t memory_read_ns; /* CLOCK_MONOTONIC */
	struct memory_readings readings; /* since the first window that looked at frees */
	ARRAY(struct window_place) places;
	struct hash place_of_site; /* heap_site_mix() -> index of `places` */
	size_t most_places;	   /* that it may have; the samples of others are lost */
	size_t kept_places;	   /* of them, how many were there when the phase began */
	struct heap_share_sums shares; /* since the last profile */
	double factor; /* processes it stands for */
};

struct heap_windows {
	struct heap_windows_options options;
	struct heap_prices prices;
	struct heap_process *counts; /* mapped */
	size_t counts_size;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool running;
	bool stop; /* atomic */
	uint64_t helpers_ns; /* atomic; CPU time of threads that closed links for it */
	uint64_t random;

	/* guarded */
	struct heap_pace pace;
	bool are_rare;
	ARRAY(struct window_process *) processes;
	struct window_errors final_errors; /* of phases that are over, since the last profile */
	struct heap_windows_statistics statistics;
};

/* The latest of that number, or NULL. With the lock held. */
struct window_process *heap_windows_find(const struct heap_windows *w, uint32_t pid);

/* Whose places are whose is told by when the processes started: numbers come again. With the lock held. */
void heap_windows_note_start(const struct heap_windows *w, struct window_process *p);

/* ---- heap_windows_places.c ----------------------------------------------------------------------- */

/* Index of the place in `places`, or -ENOMEM, also where it would be one too many. With the lock held. */
ssize_t heap_windows_place_of(struct window_process *p, const struct heap_site_key *site);

/* How many it may have now. With the lock held. */
void heap_windows_share_places(const struct heap_windows *w, struct window_process *p);

/* Should its phase end, so that places can be given up? With the lock held. */
bool heap_windows_are_many_places(const struct window_process *p);

/* Between two phases: gives up the places of which nothing is left to say. With the lock held. */
void heap_windows_thin_places(struct window_process *p, struct heap_ended *ended);

/* Takes what the last window, which was of that stratum, has seen out of the kernel. */
void heap_windows_take_places(struct heap_windows *w, struct window_process *p, unsigned stratum);

/* Adds what was seen of the place in this phase, scaled. With the lock held. */
void heap_windows_add_seen(const struct window_process *p, const struct heap_phase_scale *scale,
			   struct heap_total *total);

/* It has become final: the next phase begins with nothing. With the lock held. */
void heap_windows_forget_seen(struct window_process *p);

/* How far off the share of one of the process's places may be, the largest such error. With the lock held. */
double heap_windows_share_error(const struct window_process *p);

/* A profile has told the shares. With the lock held. */
void heap_windows_begin_shares(struct window_process *p);

/* ---- heap_windows_survivors.c -------------------------------------------------------------------- */

/* The process has so much memory without a file now; call it about as often as it has windows. With the lock held. */
void heap_windows_note_memory(struct window_process *p, uint64_t bytes);

/* A window that looked at frees is over: what is left has outlived it. */
void heap_windows_mark_survivors(struct heap_windows *w, struct window_process *p);

/* It has ended: what it still follows dies with it. */
void heap_windows_end_following(struct heap_windows *w, struct window_process *p);

/* Notes how many samples were watched in the phase that ends, of what becomes final with it. */
void heap_windows_note_watched(struct heap_windows *w, struct window_process *p, const struct heap_totals *totals);

/* What is left of a place of which so many samples were watched in this phase, with a factor for its bytes. */
struct heap_outliving heap_windows_conclude(const struct window_place *place, uint64_t watched, double factor);

/* Of what is left of the process's places in `totals`, what it may hold and what it does hold. */
void heap_windows_judge(const struct window_process *p, struct heap_totals *totals);

/* Its files are closed, its probes removed. */
void heap_windows_free_process(struct heap_windows *w, struct window_process *p);

/* ---- heap_windows_ticks.c ------------------------------------------------------------------------ */

/* Of the CPU time of a window; of them, those that found the program at no probe. */
struct window_ticks {
	uint64_t all, own;
	uint64_t lost; /* besides: not known which */
};

/* CPU time, ns, between two ticks in a window of that length, ns, of which they may take a part; 0: none. */
uint64_t heap_windows_tick_for(const struct heap_windows *w, uint64_t length);

/* Counts those of a clock that was stopped. `end`: what the probes saw until then. */
struct window_ticks heap_windows_count_ticks(const struct heap_windows *w, const struct task_clock *clock,
					     const struct heap_process *end);

/* ---- heap_windows_probe.c: the thread's work ---------------------------------------------------- */

/* A window of a process, or a look at probes that stay. `files_came`: since the last time. */
void heap_windows_work_on(struct heap_windows *w, struct window_process *p, bool files_came);
/* From now on nothing is counted. */
void heap_windows_rest(struct heap_windows *w, const struct window_process *p);
/* Takes probes that stay away, and adds what they have cost since that was looked at last. */
void heap_windows_end_staying(struct heap_windows *w, struct window_process *p);
/* Nothing is counted from the beginning of it on. */
void heap_windows_detach(struct heap_windows *w, struct window_process *p);

/* Sets the probes that are set once more, then takes the old ones away. */
void heap_windows_reattach(struct heap_windows *w, struct window_process *p);
