/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF programs and maps: opened, sized, loaded, steered. Probes what the kernel can do by trying it.
 */
#pragma once

#include "base/attributes.h"
#include "bpf/wire.h"
#include "collect/failure.h"
#include "collect/left_out.h"
#include "process/cgroup_paths.h"

struct bolometer_bpf;

struct programs_options {
	uint64_t period_ns;
	uint32_t max_frames;
	bool contexts;		  /* of threads are read */
	unsigned safe_mode;	  /* bits of enum safe_mode_feature */
	uint32_t ring_bytes;	  /* power of two */
	uint32_t binaries;	  /* known at once */
	bool select_by_pid, select_children;
	bool select_by_name; /* or may be, later */
	bool leave_out;	     /* programs_set_leaving_out() may be called */
	bool heap;
	uint64_t heap_interval;	  /* bytes between two samples, up to HEAP_MAX_INTERVAL; 1: everything is taken */
	uint32_t heap_blocks;	  /* sampled objects that are followed at once; 0: default */
	bool growth;		  /* page faults are looked at */
	bool oom;		  /* victims of a lack of memory are told */
};

/* What the programs test before a sample is taken, beside the process. */
struct programs_selection {
	bool by_executable, by_comm; /* by the verdicts that the daemon leaves */
	bool kernel_only, user_only;
	struct cgroup_target cgroups[MAX_SELECTED_CGROUPS];
	size_t cgroup_count;
};

struct programs {
	struct bolometer_bpf *skeleton;
	void *settings; /* owned: what the programs were told last, the skeleton's .data.settings */
	struct tick_settings tick_settings; /* the same, for what every tick asks */
	struct left_out left_out; /* with options.leave_out */
	int cpu_count; /* possible */
	uint32_t walk_count; /* see enum walk_class */
	bool select_by_pid, select_children;
	bool in_pid_namespace; /* of our own, not the host's */
	bool has_sessions;   /* for probes on allocators, see UPROBE_MULTI_SESSION */
	uint32_t heap_processes; /* that can be told apart, and two: all others, and the trial of prices */
	uint64_t map_bytes; /* programs_map_bytes(); 0: not read yet */
	struct bpf_link *fork_link, *free_link, *cgroup_link, *oom_link;
};

/* Loads; every task is selected until programs_select(). Returns 0 or -errno with *failure filled. */
int programs_open(const struct programs_options *options, struct programs *ret,
		  struct collect_failure *failure);
void programs_close(struct programs *programs);

/* Selects anew, also while sampling: old verdicts are forgotten. A tick that falls in between may be
 * judged by either. Returns 0 or -errno with *failure filled; then nothing has changed. */
int programs_select(struct programs *programs, const struct programs_selection *selection,
		    struct collect_failure *failure);

/* As programs_select(), but only the cgroups anew; what else is selected stays. */
int programs_select_cgroups(struct programs *programs, const struct programs_selection *selection,
			    struct collect_failure *failure);

/* A process's key in the map of selected ones, from its number in our pid namespace. */
uint32_t programs_pid_key(const struct programs *programs, uint32_t pid);

/* Selects a process by its number in our pid namespace. Returns 0 or -errno. */
int programs_select_pid(struct programs *programs, uint32_t pid);

/* The time of a CPU's first tick is counted from now on. Returns 0 or -errno. */
int programs_start_clock(struct programs *programs, int cpu);

/* The time between two ticks by which the programs tell a late tick from a missed one. */
void programs_set_period(struct programs *programs, uint64_t period_ns);

/* Do ticks ask whether their process is left out? Nobody is at first. Nothing without options.leave_out. */
void programs_set_leaving_out(struct programs *programs, bool leaves_out);

/* How many user frames of a stack are taken. */
void programs_set_depth(struct programs *programs, uint32_t frames);

/* How many page faults of a CPU a run of the program stands for, told before its event is, and how many samples of
 * small pages it may take in a tenth of a second. Returns 0 or -errno. */
int programs_set_growth_pace(struct programs *programs, uint32_t cpu, uint32_t period, uint32_t small_limit);

/* Tells the programs which large pages the kernel gives out now. */
void programs_set_large_pages(struct programs *programs);

/* Attaches what tells victims of a lack of memory. A kernel that does not tell them is no failure. */
void programs_watch_oom(struct programs *programs);

/* Attaches what follows forks and ends, if children are selected. Returns 0 or -errno. */
int programs_attach_tracepoints(struct programs *programs);

/* Takes away what programs_attach_tracepoints() and programs_watch_oom() attached. Idempotent. */
void programs_detach_tracepoints(struct programs *programs);

/* Sums of all walks since the programs were loaded. */
void programs_read_counters(const struct programs *programs, uint64_t counters[COUNTER_MAX]);

/* Page faults of a CPU and samples of growth, by one system call; unchanged when that fails. */
void programs_read_growth(const struct programs *programs, uint32_t cpu, uint64_t *faults, uint64_t *samples);

/* Those of each walk apart, as debug messages: one CPU that loses ticks is hard to see in the sums. */
void programs_log_counters(const struct programs *programs);

/* Entries of `binaries` changed: what the CPUs remember of them is looked up again. */
void programs_bump_binaries(struct programs *programs);

/* Every stack is sent whole once more. */
void programs_bump_stacks(struct programs *programs);

/* For which numbers of processes, by their last six bits, the programs look into `context_places`. */
void programs_set_context_pids(struct programs *programs, uint64_t pids);

/* Memory of all maps, bytes, as the kernel accounts it; 0 when it does not tell. */
uint64_t programs_map_bytes(struct programs *programs);

/* Run time of the programs so far, ns, with or without those on allocators; 0 when statistics are off. */
uint64_t programs_run_ns(const struct programs *programs, bool with_allocators);
