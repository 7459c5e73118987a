/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One recording from start to finished profile: the collector, the processes, the binaries, the
 * aggregate and the symbolizer behind one object. `record` uses it once; `top` and the daemon take
 * a profile from it at every interval.
 */
#pragma once

#include "base/loop.h"
#include "binary/binary_store.h"
#include "bpf/wire.h"
#include "collect/budget.h"
#include "collect/heap_windows.h"
#include "collect/map_usage.h"
#include "collect/memory_budget.h"
#include "collect/opener.h"
#include "collect/safe_mode.h"
#include "collect/selection.h"
#include "process/memory_usage.h"
#include "profile/losses.h"
#include "profile/profile.h"
#include "profile/profile_kind.h"
#include "profile/strategies.h"

/* A process that the kernel killed for lack of memory, and what it did lately. */
struct recording_victim {
	uint32_t pid;
	const char *name;	 /* of the process */
	const char *cgroup_path; /* NULL: not known */
	uint64_t file_bytes, anonymous_bytes, shared_bytes, swapped_bytes; /* it had; all 0: not known */
	struct profile *profiles[PROFILE_KIND_COUNT]; /* NULL: no samples of that kind */
};

/* `victim` and its profiles are only lent. */
typedef void (*recording_victim_callback)(void *userdata, const struct recording_victim *victim);

/* Zero: the default. */
struct recording_limits {
	uint32_t binaries;    /* known at once */
	uint64_t table_bytes; /* of unwind tables in the kernel */
	uint64_t symbol_bytes; /* of names and lines */
	uint64_t frames;      /* of distinct stacks kept */
	uint64_t entries;     /* distinct stack, thread and cgroup, of one profile */
	uint64_t cache_bytes; /* of the cache on disk */
	uint64_t idle_ns;     /* stacks, names and binaries unused for so long go; 0: never */
	uint32_t heap_processes; /* whose allocators are probed at once */
	uint64_t heap_age_ns; /* that a program has run for before it is one of them; not if it was chosen by pid or name */
};

struct recording_options {
	struct selection selection;
	unsigned kinds;		   /* PROFILE_KIND_BIT of what is looked at; 0: the CPU */
	uint64_t heap_interval;	   /* of the heap: bytes between two samples, up to HEAP_MAX_INTERVAL; 1: all; 0: default */
	double heap_budget;	   /* of the heap: share of each process's CPU time, 0.01; 1 and more: no limit; 0: default */
	bool heap_estimates;	   /* of the heap: what is only estimated is told also where nothing is: all profiles have the
				    * same sample types */
	struct selection heap_selection; /* of the heap: only these of the selection, by executable and cgroup; empty: all */
	uint32_t heap_objects;	   /* sampled objects followed at once; 0: default */
	uint32_t frequency;	   /* Hz per CPU, 1..10000; 0: default 99 */
	uint32_t max_frames;	   /* user frames, 1..1024; 0: default 1024 */
	uint32_t ring_bytes;	   /* power of two; 0: default by number of CPUs */
	bool symbolize;		   /* names, lines */
	bool inlines;		   /* inlined functions as lines of their own */
	bool labels;		   /* process, thread and container labels on samples, and resources */
	bool environment;	   /* service names and attributes that processes declare in it */
	bool times;		   /* keep when each sample was taken, for OTLP (bounded, counted) */
	bool trace_contexts;	   /* learn of each sample its span, where its thread says it */
	bool links;		   /* tell samples of different spans apart, with a link: recording_set_links() */
	bool link_labels;	   /* and with labels, for what has no links */
	bool cpus;		   /* tell samples of different CPUs apart, with a label */
	bool detached;		   /* begin as after recording_detach() */
	bool pids_are_unborn;	   /* the processes of the selection wait to become the program that is looked at */
	bool selection_may_change; /* recording_set_selection() will be called */
	bool has_strategies; /* recording_set_strategies() will be: it may leave processes out in the kernel */
	bool ignore_kernel_bugs;   /* no safe mode on kernels that are known to hang */
	bool safe_mode;		   /* on any kernel: collect/safe_mode.h */
	struct opener *opener;	   /* opens events for us, stays the caller's; NULL: this process does */
	const char *root; /* of the host's files, such as /var/log/pods; NULL: by itself */
	const char *cache_directory; /* tables and symbols; NULL: default; "" : none */
	double max_cpu; /* share of the host's CPU time that this may cost, 0.005; 0: no budget */
	uint64_t max_memory; /* bytes of all our processes and BPF maps, at least MEMORY_BUDGET_LOWEST; 0: no budget. The limits
			      * below become no larger than fits into it. */
	/* With a budget: the rate is about to change, so that a profile of one rate ends here. NULL: each
	 * profile's period is the mean of its samples'. */
	void (*on_rate_change)(void *userdata);
	void *rate_userdata;
	uint64_t names_timeout_ns;   /* what recording_take_profile() waits after a stop; 0: 30 s */
	recording_victim_callback on_victim; /* NULL: nothing is kept for it */
	void *victim_userdata;
	struct recording_limits limits;
};

#define RECORDING_OPTIONS_DEFAULT {.symbolize = true, .inlines = true, .labels = true, .environment = true}

/* How far a recording came with how much CPU time of ours (all our processes, since their start). 0:
 * not there yet. */
struct recording_phases {
	uint64_t load_ns;		 /* recording_new() to recording_start() */
	uint64_t load_cpu_ns;		 /* at recording_start() */
	uint64_t first_complete_ns;	 /* recording_start() to the first complete user stack */
	uint64_t first_complete_cpu_ns; /* when it was read */
	uint64_t capture_cpu_ns;	 /* at the end of sampling */
};

struct recording_statistics {
	uint64_t counters[COUNTER_MAX];	  /* of the BPF side, see bpf/counters.h */
	uint64_t ends[STACK_END_MAX];	  /* samples by the reason their stack ended */
	uint64_t samples;		  /* of the CPU, in the aggregate */
	uint64_t captured_ns;		  /* their CPU time */
	uint64_t victims, victims_known;  /* killed for lack of memory; of them, with samples */
	uint64_t growth_samples, growth_bytes; /* of growth, in the aggregate; new and copied */
	uint64_t heap_places; /* told in profiles of the heap: each as often as it was */
	uint64_t dropped_samples;	  /* reached userspace but not the aggregate (limits) */
	unsigned safe_mode;		  /* what is left out: bits of enum safe_mode_feature */
	bool in_pid_namespace;		  /* of our own: of processes outside it no file can be opened */
	uint64_t not_taken, not_taken_ns; /* left out by a strategy; the time without factors */
	uint64_t growth_not_taken, growth_not_taken_bytes; /* the same of growth */
	uint64_t untimed_samples;	  /* in the aggregate without their time (limit) */
	uint64_t sideband_lost;
	uint64_t processes;		  /* seen with a sample */
	uint64_t frames, frames_unnamed;  /* locations' occurrences; without a function name */
	struct frame_count frames_of_type[FRAME_TYPE_MAX];
	uint64_t binaries, binaries_failed;
	uint64_t symbol_bytes;		  /* of names and lines held */
	struct answer_durations names;	  /* what asking for symbols and lines took */
	struct recording_losses losses;
	struct heap_windows_statistics heap_windows; /* when allocations are looked at in windows */
	uint64_t watched_processes;	  /* named ones whose memory is known */
	struct memory_usage watched_first, watched_last; /* theirs, at first and lately */
	uint64_t own_cpu_ns;		  /* this process and its children */
	uint64_t bpf_ns;		  /* run time of the programs; 0 when the kernel does not tell */
	uint64_t memory_bytes;		  /* PSS of this process and its children (while
					   * sampling, of the last seconds) plus BPF maps */
	uint64_t map_bytes;		  /* of it, the BPF maps */
	uint64_t elapsed_ns;
	uint64_t paused_ns;		  /* of it, without ticks by recording_pause() */
	uint64_t tracked_processes;	  /* known now */
	uint64_t drained_ns;		  /* when the rings were last read, CLOCK_MONOTONIC */
	struct recording_phases phases;
	uint32_t frequency;		  /* Hz now; under a budget not always what was asked for */
	struct budget_report budget;	  /* share 0: none was set */
	struct memory_budget memory_budget; /* limit 0: none was set */
};

/* Samples that found the ring to userspace full. */
uint64_t recording_lost_to_ring(const struct recording_statistics *statistics);

/* All samples that were taken and are in no profile. */
uint64_t recording_lost_samples(const struct recording_statistics *statistics);

struct recording;

/* What recording_new() or recording_start() failed at, in words a person can act on:
 * "cannot open perf events: …; run as root or …". Empty after success. */
struct recording_failure {
	char text[1024];
};

/* Opens and loads everything; nothing is sampled yet. `options` is copied, its selections moved.
 * Returns 0 or -errno with *failure filled. */
int recording_new(struct loop *loop, struct recording_options *options,
		  struct recording_failure *failure, struct recording **ret);
struct recording *recording_free(struct recording *recording);

/* Starts sampling. Returns 0 or -errno with *failure filled. */
int recording_start(struct recording *recording, struct recording_failure *failure);

/* Adds a process (with what it starts, if selection.children) while running: `-- CMD`. Returns 0 or
 * -errno. */
int recording_select_pid(struct recording *recording, uint32_t pid);

/* Changes the rate while sampling; with a budget, the highest one. Each profile names one period: take one
 * just before. Returns 0 or -errno. */
int recording_set_frequency(struct recording *recording, uint32_t frequency);

/* Sets, changes or (0) takes away the budget while sampling. Returns 0 or -errno. */
int recording_set_max_cpu(struct recording *recording, double max_cpu);

/* From now on samples of different spans stand apart (or not), with labels too (or not). Both need trace_contexts. */
void recording_set_links(struct recording *recording, bool links, bool labels);

/* Replaces the selection while sampling, except processes chosen by number. Moves *selection on
 * success. Returns 0 or -errno with *failure filled; then the old one stays. */
int recording_set_selection(struct recording *recording, struct selection *selection,
			    struct recording_failure *failure);

/* From now on samples are taken as these strategies have it, which become the recording's; NULL: all are. */
void recording_set_strategies(struct recording *recording, struct strategies *strategies);

/* To look at them or reset them; NULL: there are none. Valid until the next recording_set_strategies(). */
struct strategies *recording_strategies(struct recording *recording);

/* Stops the ticks for a while, and takes the probes off allocators: processes are followed, intervals and windows go
 * on without samples. Returns 0 or -errno. */
int recording_pause(struct recording *recording);

/* A pause in which nothing of ours is attached to the kernel: no events, no tracepoints, no following of
 * processes. */
void recording_detach(struct recording *recording);

/* Ends either pause, in a new interval that begins now. Returns 0 or -errno with *failure filled; then the pause goes on. */
int recording_resume(struct recording *recording, struct recording_failure *failure);

/* Stops sampling and drains what is on the way. */
int recording_stop(struct recording *recording);

/*
 * The profiles of everything since the start or the last call: of each kind that the recording looks at
 * one, NULL for the others. After recording_stop() it waits for the parser child (bounded); while running
 * it uses the names known by now. The caller frees them with profile_free(). Returns 0 or -errno: none.
 */
int recording_take_profiles(struct recording *recording, struct profile *ret[PROFILE_KIND_COUNT]);

/* As recording_take_profiles(), for a recording of the CPU alone. */
int recording_take_profile(struct recording *recording, struct profile **ret);

/*
 * A profile of a stretch of time beside the intervals: everything of a kind sampled between opening and
 * closing, of one process or (pid 0) of all. recording_close_window() gives its profile (of names known by now; the
 * caller frees it) or, when `ret` is NULL, none. Both return 0 or -errno; the window is gone in any case.
 */
struct recording_window;
int recording_open_window(struct recording *recording, enum profile_kind kind, uint32_t pid,
			  struct recording_window **ret);
int recording_close_window(struct recording *recording, struct recording_window *window,
			   struct profile **ret);

/*
 * The heap as it is now, of one process or (pid 0) of all: inuse_* as in an interval's profile, alloc_* since each
 * program is looked at. The intervals do not notice. The caller frees it. Returns 0, -ENODATA when the heap is not
 * looked at, or -errno.
 */
int recording_read_heap(struct recording *recording, uint32_t pid, struct profile **ret);

/* Has it met so many files that new ones will soon find no number? Another recording has to take its place. */
bool recording_is_used_up(const struct recording *recording);

/* Since the start; what may be asked of a recording at any time. Reading its own memory may cost a millisecond. */
void recording_get_statistics(struct recording *recording, struct recording_statistics *ret);

/* Of them the budget alone, which costs nothing to look at. */
void recording_get_budget(const struct recording *recording, struct budget_report *ret);

/* Are names looked up at all? The kernel's function at an address now, NULL when there is none, or none yet; valid until the
 * next call. */
bool recording_has_names(const struct recording *recording);
const char *recording_find_kernel(struct recording *recording, uint64_t address);

/* As map_usage_read(): how full the BPF maps are. */
size_t recording_get_maps(const struct recording *recording, struct map_usage *ret, size_t capacity);
