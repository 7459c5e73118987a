/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sampling of the host: programs, events, rings, processes and binaries behind one object. What comes
 * out is a stream of samples, each with its process, in order of time.
 */
#pragma once

#include "base/loop.h"
#include "collect/binaries.h"
#include "collect/contexts.h"
#include "collect/failure.h"
#include "collect/heap_probes.h"
#include "collect/heap_table.h"
#include "collect/map_usage.h"
#include "collect/opener.h"
#include "collect/selection.h"
#include "process/process.h"

struct collector;

/* `frames` holds the sample's frame words, or is NULL when the stack with this id was delivered
 * before; `trace` is NULL where its thread had no trace context. `process` lives during the call; take a
 * reference to keep it. */
typedef void (*collector_callback)(void *userdata, const struct record_sample *sample,
				   const uint64_t *frames, const struct record_trace *trace,
				   struct process *process);

/* The kernel kills a process for lack of memory; `cgroup_path` NULL: not known. */
typedef void (*collector_oom_callback)(void *userdata, const struct record_oom_victim *victim,
				       const char *cgroup_path);

/* How many processes a selected one stands for, as others are left out by chance; 0: its allocator is not probed. Its
 * cgroup is known, as far as it can be. */
typedef double (*collector_heap_callback)(void *userdata, const struct process *process);

/* Code of the kernel from `start` on, `size` bytes, is another one than that which samples before had met there. */
typedef void (*collector_code_callback)(void *userdata, uint64_t start, uint64_t size);

/* What was there is read: a time for work that comes now and then, without a wake-up of its own. */
typedef void (*collector_drained_callback)(void *userdata);

struct collector_options {
	uint32_t frequency;	 /* Hz */
	bool no_ticks;		 /* the CPU is not sampled */
	bool growth;		 /* page faults are */
	bool contexts;		 /* the trace contexts of threads are looked for: collect/contexts.h */
	bool heap;		 /* allocators are probed */
	uint64_t heap_interval;	 /* and of that: as of programs_options */
	uint32_t heap_blocks;
	double heap_budget;	 /* share of each process's CPU time; 1: no limit */
	uint32_t heap_processes; /* of so many processes; 0: HEAP_DEFAULT_PROCESSES */
	uint64_t heap_age_ns; /* of programs that were not chosen one by one: as heap_probes' `least_age_ns` */
	const struct selection *heap_selection; /* of those selected only these, by executable and cgroup; NULL: all */
	uint32_t max_frames;
	uint32_t ring_bytes;	 /* 0: by number of CPUs */
	bool ignore_kernel_bugs; /* no safe mode where they are known */
	bool safe_mode;		 /* on any kernel */
	bool detached; /* begin as after collector_detach() */
	bool selection_may_change; /* collector_apply_selection() will be called */
	bool leave_out; /* so may collector_set_leaving_out() */
	bool environment; /* look at what processes declare in it: declared_attributes.h */
	const char *cache_directory; /* as of artifact_cache_options */
	struct opener *opener; /* opens the events, stays the caller's; NULL: this process does */
	uint64_t cache_bytes;
	uint32_t binaries;    /* known at once; 0: 8192 */
	uint64_t table_bytes; /* of unwind tables in the kernel; 0: 256 MiB */
	collector_callback on_sample;
	collector_drained_callback on_drained; /* five times a second; once where nothing new is met */
	collector_code_callback on_code_replaced; /* in the order of the samples */
	collector_oom_callback on_oom; /* NULL: nobody asks */
	collector_heap_callback weigh_heap; /* asked again and again; NULL: 1, of all */
	void *userdata;
};

struct collector_statistics {
	uint64_t counters[COUNTER_MAX];
	uint64_t rejected;	   /* undecided samples that were not selected after all */
	uint64_t rejected_ns;
	uint64_t rejected_growth;  /* the same of growth */
	uint64_t rejected_growth_bytes;
	uint64_t bad_records;	   /* not understood: wrong size, version or kind */
	unsigned safe_mode;	   /* what is left out: bits of enum safe_mode_feature */
	bool in_pid_namespace;	   /* of our own: files and names of processes outside it are out of reach */
	uint64_t bpf_ns, map_bytes;
	uint64_t drained_ns; /* when the rings were last read, CLOCK_MONOTONIC */
	uint64_t code_forgotten; /* names of generated code, as generated_code.h has it */
	struct contexts_statistics contexts;
	struct sideband_statistics sideband;
	struct process_statistics processes;
	struct binaries_statistics binaries;
	struct heap_windows_statistics heap_windows;
	struct heap_probes_statistics heap;
	uint64_t heap_ended_lost; /* places of ended processes for which there was no room */
	uint64_t heap_totals_unsettled; /* see heap_table.h: `unsettled` */
	struct artifact_cache_statistics cache;
	struct parser_statistics parser;
};

/* Loads; nothing is sampled yet. `selection` stays the caller's and must outlive the collector.
 * Returns 0 or -errno with *failure filled. */
int collector_new(struct loop *loop, const struct selection *selection,
		  const struct collector_options *options, struct collect_failure *failure,
		  struct collector **ret);
struct collector *collector_free(struct collector *collector);

/* Attaches the side-band, scans /proc, starts the clock. Returns 0 or -errno with *failure filled. */
int collector_start(struct collector *collector, struct collect_failure *failure);

/* Stops the clock and delivers what is on the way. Idempotent. */
void collector_stop(struct collector *collector);

/* Delivers what has arrived by now; also done by itself several times a second. */
void collector_drain(struct collector *collector);

/*
 * Changes the rate while sampling. The weight of a sample is the time since the one before, so times
 * stay right through the change; a profile that names one period should be taken just before.
 * Returns 0 or -errno.
 */
int collector_set_frequency(struct collector *collector, uint32_t frequency);

/* Windows on allocators that are rarer than usual, or not. Nothing without the heap. */
void collector_set_heap_rare(struct collector *collector, bool is_rare);
/* What the heap may cost, CPU ns a second; INFINITY, as at first: no limit. Nothing without the heap. */
void collector_allow_heap(struct collector *collector, double allowed);

/*
 * Whether the side-band is read. Without it a process is known from when a sample of it comes, from /proc then, a
 * binary when a stack meets it, and an end never; when it is read again /proc is too, for what happened meanwhile.
 * Returns 0 or -errno with *failure filled; then nothing has changed.
 */
int collector_set_following(struct collector *collector, bool following, struct collect_failure *failure);

/* How many user frames of a stack are taken from now on. */
void collector_set_depth(struct collector *collector, uint32_t frames);

/* Stops the ticks and the samples of growth, or lets them go on; processes are followed all the same. What came before a pause has
 * been delivered when this returns. Returns 0 or -errno. */
int collector_set_paused(struct collector *collector, bool paused);

/*
 * Takes everything of ours out of the way of other programs: events, tracepoints, the side-band and the counting
 * of run times are closed, what they had given is delivered; the heap is paused. The programs stay loaded and are not
 * run. Idempotent.
 */
void collector_detach(struct collector *collector);

/* Undoes that but for the heap, and reads /proc for what happened meanwhile. Idempotent. Returns 0 or -errno with *failure filled;
 * then it stays detached. */
int collector_attach(struct collector *collector, struct collect_failure *failure);

/*
 * Applies the contents of the selection, which the caller has changed, while sampling. The selection
 * of processes by number stays what it was. What arrived before is judged by the old contents if
 * collector_drain() was called before the change. Returns 0 or -errno with *failure filled; then the
 * kernel side has not changed.
 */
int collector_apply_selection(struct collector *collector, struct collect_failure *failure);

/* What each place allocated since the start; returns as heap_table_read(). */
int collector_read_heap(const struct collector *collector, struct heap_totals *ret);

/*
 * Takes the probes off allocators, or sets them again. The former waits for the kernel: some 30 ms
 * for each sixteen processes. What was seen can be read during the pause. When it ends, all of that is made final, and what is held
 * is not known any more. Idempotent; nothing without the heap. Returns 0 or -errno.
 */
int collector_set_heap_paused(struct collector *collector, bool paused);

/* That was told, in a profile: what has ended is given up, and the errors of the next one's sums begin anew. */
void collector_note_heap_told(struct collector *collector);

/* Every stack is sent whole once more, and what was sent before has been delivered when this returns. */
void collector_forget_stacks(struct collector *collector);

/* Adds a process, by its number in our pid namespace, to those selected by number. Returns 0 or -errno. */
int collector_select_pid(struct collector *collector, uint32_t pid);

/* Are there processes of which no tick need be taken? All are sampled at first, and again when this is called. Nothing
 * without options.leave_out. */
void collector_set_leaving_out(struct collector *collector, bool leaves_out);

/* The process of a sample that was just delivered is left out whole, from now on as a rule, for a reason below
 * LEFT_OUT_REASONS; -1: not (any more). No tick of it is a sample then, but one in ten seconds, for it to be judged
 * anew. */
void collector_leave_out(struct collector *collector, const struct record_sample *sample, int reason);

/* Ticks that were left out since the start, by reason. */
void collector_read_left_out(const struct collector *collector, struct left_out_counts *ret);

/* Its parts, which stay its own. */
struct binaries *collector_binaries(struct collector *collector);
struct binary_store *collector_binary_store(struct collector *collector);
/* What the side-band told of it; whoever learns more adds that. */
struct generated_code *collector_generated_code(struct collector *collector);
struct process_table *collector_processes(struct collector *collector);
/* CPU time of the parser children so far. */
uint64_t collector_parser_cpu_ns(const struct collector *collector);

/* Counts since the start, of all its parts; asks the kernel for those of the programs. */
void collector_get_statistics(struct collector *collector, struct collector_statistics *ret);

/* What the kernel side costs, without all that collector_get_statistics() looks at. */
struct collector_cost {
	uint64_t counters[COUNTER_MAX]; /* as there */
	uint64_t bpf_ns;   /* of it, the programs that are not on allocators */
	uint64_t heap_ns;  /* what probes on allocators took from the processes, their programs included; by count and price */
};
void collector_get_cost(struct collector *collector, struct collector_cost *ret);

/* As map_usage_read(). */
size_t collector_get_maps(const struct collector *collector, struct map_usage *ret, size_t capacity);
