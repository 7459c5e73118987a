/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples, counted: equal stacks of the same program, thread and cgroup are one entry of a window, a
 * stretch of time that becomes a profile. For each kind of profile one window follows the other for as
 * long as samples come; more can be open beside it for a while. Stacks are kept by the id that the BPF side computed; each is sent
 * whole once, so they outlive windows and are given up by age, when the BPF side is told so.
 *
 * The heap has no events that one could count here but places, each told of once by the BPF side: its window stays,
 * and its owner says which entries go.
 *
 * If asked to, it keeps when each sample was taken, a chain of times for each entry; and in which span, where its
 * thread said so: what an entry counts is of one span then.
 *
 * Frames outside files (JIT code) mean something only at their time: entries with such frames are kept
 * apart by second, so that names can be taken from the code that was there. Code of the kernel is seldom replaced,
 * which is told: aggregate_part_kernel_code().
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "bpf/wire.h"
#include "process/process.h"
#include "profile/profile_kind.h"

struct aggregate_stack {
	uint64_t id;
	uint32_t first_frame; /* index into frames */
	uint32_t last_used;   /* the age of the aggregate then */
	uint16_t kernel_frames, user_frames;
	bool has_addresses;
	uint16_t part; /* how often its kernel code became another one */
};

struct aggregate_entry {
	uint64_t key;	 /* what it is found by */
	uint32_t stack;	 /* index into stacks */
	uint32_t tid;
	struct process *process; /* a reference */
	uint64_t time;	 /* CLOCK_MONOTONIC ns of its first sample */
	uint64_t count;
	uint64_t weight; /* in the unit of its event */
	uint32_t cpu; /* AGGREGATE_ANY_CPU: not kept apart */
	uint32_t last_time; /* index into times, of the newest; AGGREGATE_NO_TIME: none kept */
	uint16_t end;	 /* enum stack_end */
	uint16_t event;	 /* enum event_kind */
	char comm[COMM_SIZE];
	uint32_t link; /* index into links + 1; 0: none */
};

#define AGGREGATE_NO_TIME UINT32_MAX
#define AGGREGATE_ANY_CPU UINT32_MAX

/* When a sample was taken, and the one before it of the same entry. */
struct aggregate_time {
	uint64_t time; /* CLOCK_MONOTONIC ns */
	uint32_t previous; /* index into times, or AGGREGATE_NO_TIME */
	uint32_t padding;
};

struct aggregate_limits {
	size_t frames;	/* frame words kept; 0: default 16 Mi */
	size_t entries; /* 0: default 4 Mi */
	size_t times;	/* sample times kept in one interval; 0: none */
	bool cpus;	/* keep the samples of each CPU apart */
	bool links;	/* and those of each span */
};

#define AGGREGATE_DEFAULT_TIMES (4UL << 20)

struct aggregate_window {
	enum profile_kind kind; /* only its samples */
	ARRAY(struct aggregate_entry) entries;
	ARRAY(struct aggregate_time) times;
	ARRAY(struct record_trace) links; /* spans in which samples were taken */
	struct hash links_by_trace; /* hash of one -> index */
	struct hash entries_by_key;
	uint32_t pid;  /* only this process's samples; 0: all */
	bool no_times; /* none are kept, whatever the limit */
	bool is_complete; /* gets no more samples, but stays open for its stacks' sake */
	size_t max_entries; /* of one opened beside; 0: as many as the current one */
	double growth_squares; /* of the weights of EVENT_GROWTH, summed: the variance of their sum */
	uint64_t dropped; /* of one opened beside: samples past its limit of entries */
	struct aggregate_window *next; /* opened before it */
};

/* All of a kind that were added, since the beginning. */
struct aggregate_totals {
	uint64_t samples, weight;
	uint64_t dropped, dropped_weight; /* past a limit, or with an unknown stack */
	uint64_t ends[STACK_END_MAX];
};

struct aggregate {
	struct aggregate_limits limits; /* of each window, but for the frames */
	ARRAY(uint64_t) frames;
	ARRAY(struct aggregate_stack) stacks;
	struct hash stacks_by_id;
	uint32_t age; /* how often aggregate_next() was called */
	struct aggregate_window current[PROFILE_KIND_COUNT];
	struct aggregate_window *opened; /* beside it */
	struct aggregate_totals totals[PROFILE_KIND_COUNT];
	uint64_t untimed; /* samples whose time was not kept: past the limit */
	uint64_t unlinked; /* samples whose span was not kept, for lack of memory */
};

/* `limits` NULL: defaults. */
void aggregate_init(struct aggregate *aggregate, const struct aggregate_limits *limits);
void aggregate_deinit(struct aggregate *aggregate);

/* From now on samples of different spans are kept apart, or no longer; what was added before stays as it is. */
void aggregate_keep_links(struct aggregate *aggregate, bool links);

/* Begins the next current window of each kind but the heap: forgets the entries and times of this one; keeps the
 * stacks, which later samples refer to, and the totals. */
void aggregate_next(struct aggregate *aggregate);

/* Leaves in a window the entries whose flag is set; `keep` has one for each. Returns 0 or -ENOMEM: nothing changed. */
int aggregate_keep(struct aggregate_window *window, const bool *keep);

/* Opens a window beside the current one: it gets the samples that are added from now on. The caller
 * initialises kind, pid, no_times and max_entries, and owns it; aggregate_close() before it goes. */
void aggregate_open(struct aggregate *aggregate, struct aggregate_window *window);
void aggregate_close(struct aggregate *aggregate, struct aggregate_window *window);

/* Do the stacks take so much of their limit that old ones should go? */
bool aggregate_is_crowded(const struct aggregate *aggregate);

/* Gives up the stacks that no window holds and that were not sampled since the last aggregate_next() but
 * one; the others change their index. The BPF side must have been told before to send every stack whole
 * once more, and what it had sent by then must have been added. Returns 0 or -ENOMEM: nothing changed. */
int aggregate_forget_old(struct aggregate *aggregate);

/* Keeps the stack of a sample that is not added: it is sent once, and later samples name it. */
void aggregate_keep_stack(struct aggregate *aggregate, const struct record_sample *sample,
			  const uint64_t *frames);

/* From now on other code lies in the kernel from `start` on, `size` bytes: later samples of stacks through it are
 * entries of their own. */
void aggregate_part_kernel_code(struct aggregate *aggregate, uint64_t start, uint64_t size);

/* Adds a sample; `frames` and `trace` as collector_callback has them. What cannot be kept is counted. */
void aggregate_add(struct aggregate *aggregate, const struct record_sample *sample,
		   const uint64_t *frames, const struct record_trace *trace, struct process *process);
