/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page faults of every CPU as samples of growth (bpf/growth.bpf.h), and how many of them are looked
 * at: the period of each CPU's event follows its faults, so that looking costs the same however many come.
 */
#pragma once

#include "collect/cpu_events.h"
#include "collect/growth_pace.h"
#include "collect/programs.h"

/* What is known of a CPU's faults. */
struct growth_cpu {
	struct growth_pace pace;
	uint64_t faults, samples; /* at the last look */
	uint64_t look_ns; /* when that was, CLOCK_MONOTONIC */
};

struct growth_events {
	struct cpu_events events;
	struct programs *programs;
	ARRAY(struct growth_cpu) cpus; /* by number */
	uint64_t large_pages_ns; /* when the kernel was last asked which it gives out */
	cpu_change_callback on_change; /* the owner's */
	void *userdata;
};

/* Opens nothing yet. `programs` and itself must stay where they are; the others as of cpu_events_init(). */
void growth_events_init(struct growth_events *growth, struct programs *programs, struct opener *opener,
			cpu_change_callback on_change, void *userdata);

/* As cpu_events_start(). */
int growth_events_start(struct growth_events *growth, struct loop *loop);

/* Fits the period of each CPU to its faults since the last look; call it several times a second, or each second where
 * that has changed nothing for a while. Returns whether it has changed anything. */
bool growth_events_regulate(struct growth_events *growth, uint64_t now_ns);

/* Raises the period of one CPU at once: its faults come very fast. */
void growth_events_hurry(struct growth_events *growth, uint32_t cpu, uint64_t now_ns);

/* Detaches and closes everything. Idempotent. */
void growth_events_stop(struct growth_events *growth);
