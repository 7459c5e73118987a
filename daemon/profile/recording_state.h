/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a recording, shared by its parts: recording.c (life and sampling), recording_options.c (what it asks of
 * its parts), recording_levers.c (rate and budget), recording_jit.c (JIT code), recording_profiles.c (profiles and
 * windows), recording_room.c (what it gives up), recording_victims.c and recording_statistics.c. Nobody else includes
 * this.
 */
#pragma once

#include "collect/collector.h"
#include "process/host.h"
#include "process/pod_names.h"
#include "profile/aggregate.h"
#include "profile/heap_places.h"
#include "profile/history.h"
#include "profile/memory_watch.h"
#include "profile/profile_builder.h"
#include "profile/recording.h"
#include "profile/recording_budget.h"
#include "profile/symbolizer.h"

/* Samples that strategies did not take, and their weights, of one kind. */
struct recording_left_out {
	uint64_t samples, weight;
};

struct recording {
	struct loop *loop;
	struct recording_options options;
	struct collector *collector;
	struct aggregate aggregate;
	struct heap_places heap; /* as told by the profiles so far */
	struct history history; /* for victims of a lack of memory */
	uint64_t victims, victims_known;
	struct memory_watch memory; /* of the processes that were named, where growth is looked at */
	struct symbolizer *symbolizer;
	uint64_t prepared_ns; /* when names were last asked for, CLOCK_MONOTONIC */
	uint64_t code_wait_ns; /* how long the next profile waits for names of JIT code; 0: not waited yet */
	struct hash jit_processes; /* address of a struct process -> its struct jit_follower; each holds a reference */
	struct recording_losses forgotten; /* those of processes that are no more in it */
	uint64_t sampled_processes;
	struct host_facts host;
	struct pod_names *pod_names;
	size_t prepared_stacks;
	ARRAY(uint32_t) unprepared; /* stacks with binaries that were not known yet */
	uint64_t start_ns, stop_ns; /* CLOCK_MONOTONIC */
	uint64_t interval_ns;	    /* start of the profile being collected */
	struct recording_statistics counted; /* at the end of the last profile */
	uint64_t paused_since_ns, paused_ns; /* 0: not paused; the pauses that ended */
	uint64_t memory_bytes, memory_read_ns;
	uint64_t room_made_ns, room_pause_ns; /* among binaries and names; 0: never */
	uint64_t stacks_forgotten_ns; /* 0: never */
	uint64_t renewed_ns; /* when the idle were last given up; 0: the first interval runs */
	uint64_t new_ns, new_cpu_ns; /* when recording_new() was called; what this process had cost by then */
	struct recording_phases phases;
	struct profile_builder_statistics built;
	struct recording_budget *budget; /* NULL: none */
	struct memory_budget memory_budget; /* limit 0: none */
	struct loop_source *memory_timer; /* of it */
	uint32_t rate;	       /* Hz now; with a budget not always options.frequency */
	struct budget_report last_budget; /* when sampling stopped */
	bool without_lines;
	double weight;	       /* of a CPU sample, times its time */
	struct strategies *strategies; /* NULL: none */
	struct recording_left_out left_out[PROFILE_KIND_COUNT]; /* of those sent by the kernel side */
	struct left_out_counts left_out_told; /* what that left out itself, as far as the strategies know of it */
	bool is_resting;       /* without ticks, as chance and the budget have it */
	bool running;
};

static inline bool recording_looks_at(const struct recording *r, enum profile_kind kind)
{
	return r->options.kinds & PROFILE_KIND_BIT(kind);
}

/* At what the processes that are named have resident, too? */
static inline bool recording_looks_at_memory(const struct recording *r)
{
	return recording_looks_at(r, PROFILE_KIND_GROWTH) || recording_looks_at(r, PROFILE_KIND_HEAP);
}

/* Fills in the defaults of options that are 0. */
void recording_set_defaults(struct recording_options *options);

/* Those of the aggregate that the options ask for. */
struct aggregate_limits recording_aggregate_limits(const struct recording_options *options);

/* All but the callbacks; what it points to stays the recording's. */
struct collector_options recording_collector_options(const struct recording *r);

/* CPU time of this process and of its parser children, ns. */
uint64_t recording_own_cpu_ns(const struct recording *r);

/* The process has JIT code. */
void recording_note_jit(struct recording *r, struct process *process);
/* Has the maps of all such processes read, where that is not under way. */
void recording_update_jit(struct recording *r);
/* Waits, not for long, until they have been, and for the kernel's first list of names; other work that ends meanwhile
 * is answered too. */
void recording_wait_for_code(struct recording *r);
/* Of those that have ended and are in no sample any more. */
void recording_forget_jit(struct recording *r);
void recording_free_jit(struct recording *r);

/* Looks through the stacks that are new, and again through those whose binaries were not known yet. */
void recording_prepare_names(struct recording *r);

/* Delivers what was sampled by now, and says when that is (CLOCK_MONOTONIC ns). */
uint64_t recording_drain(struct recording *r);

/* The heap of a process (0: of all), of what was delivered by now, up to `end` (CLOCK_MONOTONIC ns). As
 * recording_read_heap(). The caller frees it. */
int recording_build_heap(struct recording *r, uint32_t pid, uint64_t end, struct profile **ret);

/* Those that were not met of late; each that stays is sent whole once more. Returns 0 or -ENOMEM: they stay. */
int recording_forget_stacks(struct recording *r);

/* What a recording without end must give up now and then; after each profile. */
void recording_forget_old(struct recording *r);

/* Begins to keep options.max_cpu. `own_cpu_ns`: what our processes had cost when that began which the first step pays
 * for. Returns 0 or -errno. */
int recording_start_budget(struct recording *r, uint64_t own_cpu_ns);

/* Makes the limits fit into options.max_memory, if that is set. Before anything is built from them. */
void recording_limit_memory(struct recording *r);
/* Begins to keep it. Returns 0 or -errno. */
int recording_start_memory_budget(struct recording *r);

/* What all our processes and BPF maps have, bytes, read now. The kernel walks all pages of ours to tell: about a
 * millisecond for 20 MB. */
uint64_t recording_read_memory(struct recording *r);

/* Ages end: what the kept stacks need is used, other names or tables go, as far as they may. */
void recording_drop_unused_names(struct recording *r);
void recording_drop_unused_tables(struct recording *r);
/* Those whose time has come, of binaries that no stack refers to. */
void recording_remove_dropped(struct recording *r);

/* Are binaries that were not met before read, or do they wait? */
void recording_grant_reading(struct recording *r, uint64_t cpu_ns);

/* Of the collector: a process that the kernel kills for lack of memory. */
void recording_on_victim(void *userdata, const struct record_oom_victim *record,
			 const char *cgroup_path);
