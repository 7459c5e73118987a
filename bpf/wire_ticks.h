/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a tick asks and leaves behind: the state of its CPU, whether its task is selected, and which processes are left out
 * on a strategy's word.
 */
#pragma once

#include "wire_types.h"

/* ---- Ticks ----------------------------------------------------------------------------------- */
/*
 * All that an unselected tick reads and writes lies in one map, on few machines in more than one page: between
 * two ticks the caches and the TLB lose what is here, and pages cost more than lines. The kernel puts the first
 * value of a map behind the map itself, at 8 bytes before a line of the cache or anywhere else; what is used
 * begins 8 bytes into an entry, and is never on one line with what another CPU writes.
 */
#define REFUSED_PIDS 16 /* power of two */

/* What a CPU keeps from tick to tick. */
struct cpu_clock {
	/* CLOCK_MONOTONIC is ahead of the clock that tells the times by this; see `compared_at`. */
	u64 monotonic_offset;
	/* When it ticked last, ns: before its first tick, when the daemon started its clock. */
	u64 previous_tick;
	/* When the clock that tells the times was compared with CLOCK_MONOTONIC. 0: never, it is that. */
	u64 compared_at;
	/* The counters of these names. */
	u64 ticks;
	u64 unselected, unselected_ns;
	u64 idle, idle_ns;
	/* Processes that were not selected at this generation; 0: none. Place: low bits of the pid. */
	u64 refused_generation;
	u32 refused_pids[REFUSED_PIDS];
};

/* Changed while running, by the daemon, which alone writes here. */
struct tick_settings {
	u64 padding;
	u64 period_ns;	/* between two ticks of a CPU */
	u64 generation; /* changed: so did the selected processes */
	u8 kernel_only;
	u8 user_only;
	u8 leaves_out; /* some processes may be in `left_out_processes` */
	u8 takes_all;  /* nothing is selected by: each tick of a task is taken, but for what is left out */
};

/* Processes that forks selected; the programs alone write here. */
struct tick_forks {
	u64 padding;
	u64 generation;
};

union tick_entry {
	struct cpu_clock clock;
	struct tick_settings settings;
	struct tick_forks forks;
	u64 words[24]; /* whole lines */
};

#define TICK_SETTINGS 0
#define TICK_FORKS 1
#define TICK_CPUS 2 /* that of CPU 0, and so on */

/* What a program calls in place of the kernel's bpf_cast_to_kern_ctx(): no helper has this number. */
#define CAST_TO_KERNEL_CONTEXT 0x7fb01000

/*
 * Switches that the daemon sets in the instructions of the tick's program before that is loaded, each a number
 * of its own plus 1 where it is on. A constant in memory would still be read at every tick, though the verifier
 * knows it, from a page that no tick needs otherwise.
 */
#define SWITCH_EVENT_CLOCK 0x7fb01010	  /* CAST_TO_KERNEL_CONTEXT can be called */
#define SWITCH_SELECT_BY_PID 0x7fb01020	  /* as the constant of this name */
#define SWITCH_SELECT_CHILDREN 0x7fb01030 /* the same */

/* ---- Selection ------------------------------------------------------------------------------- */

/* In selected_pids a number of the daemon's own pid namespace has this bit, one of the host's has not. */
#define SELECTED_INNER_PID 0x80000000U
#define MAX_SELECTED_CGROUPS 8
#define CGROUP_DEFAULT_HIERARCHY 255

struct selected_cgroup {
	u64 id;	       /* kernfs id of the directory */
	u32 subsystem; /* index into css_set.subsys, or CGROUP_DEFAULT_HIERARCHY */
	u32 padding;
};

struct executable_key {
	u64 inode;
	u32 device;
	u32 padding;
};

enum verdict { VERDICT_NO = 1, VERDICT_YES = 2 };

/* ---- Processes left out ---------------------------------------------------------------------- */

#define LEFT_OUT_SETS 2048   /* power of two */
#define LEFT_OUT_REASONS 64  /* what is counted apart: the daemon says what each means */
#define LEFT_OUT_LOOK_NS 10000000000ULL

/* A process of which no tick is taken; the daemon writes all but `look_at`, which both do. */
struct left_out_process {
	u64 pid_and_reason; /* record_sample's pid, the reason << 32; 0: none */
	u64 process_start;  /* record_sample's, as exec_id */
	u64 exec_id;
	u64 look_at; /* the first tick from then on is taken, CLOCK_MONOTONIC ns */
};

/* Value of `left_out_processes`: of the processes whose numbers have the same low bits. One line of the cache. */
struct left_out_set {
	struct left_out_process processes[2];
};

/* Value of `left_out_counts`: what a CPU left out. Never begins anew. */
struct left_out_counts {
	struct {
		u64 ticks, ns;
	} by_reason[LEFT_OUT_REASONS];
};

#ifndef __bpf__
_Static_assert(sizeof(struct left_out_set) == 64, "left_out_set");
#endif
