/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One software event for each CPU, with a sampling program attached, also for CPUs that come online
 * later. The clock is PERF_COUNT_SW_CPU_CLOCK with a period in ns: it needs no hardware counter
 * and ticks on every CPU, idle ones included.
 */
#pragma once

#include "base/array.h"
#include "base/loop.h"
#include "collect/opener.h"

#include <linux/perf_event.h>

struct bpf_link;
struct bpf_program;

struct cpu_event {
	int cpu;
	int fd;
	uint64_t enabled_ns; /* how long it had been counting, as of the last cpu_events_revive() */
	struct bpf_link *link;
};

struct cpu_event_kind {
	uint64_t config; /* enum perf_sw_ids */
	uint64_t period; /* in its unit: ns of a clock, else how many */
};

/* Told when a CPU came (online) or went, after its event was opened or closed. */
typedef void (*cpu_change_callback)(void *userdata, int cpu, bool online);

/* Called just before a CPU begins to tick, at first or after a pause. Returns 0 or -errno: it will not. */
typedef int (*cpu_begin_callback)(void *userdata, int cpu);

struct cpu_events {
	struct bpf_program *program;
	struct cpu_event_kind kind;
	bool paused;
	struct opener *opener; /* NULL: this process opens */
	ARRAY(struct cpu_event) events;
	struct loop_source *hotplug;
	int hotplug_fd;
	cpu_begin_callback on_begin;
	cpu_change_callback on_change;
	void *userdata;
};

/* Opens nothing yet. `opener` opens the events, if there is one; `on_begin`
 * and `on_change` may be NULL. */
void cpu_events_init(struct cpu_events *events, struct bpf_program *program,
		     struct cpu_event_kind kind, struct opener *opener, cpu_begin_callback on_begin,
		     cpu_change_callback on_change, void *userdata);

/* Opens and attaches on every online CPU and watches for changes. Returns 0 or -errno (of the first
 * CPU that failed; then nothing is attached). */
int cpu_events_start(struct cpu_events *events, struct loop *loop);

/* Changes the time between ticks; each CPU's next tick comes one new period from now. Returns 0 or
 * -errno of the first CPU that failed; CPUs that come later get the new period in any case. */
int cpu_events_set_period(struct cpu_events *events, uint64_t period_ns);

/* The same on one CPU; those that come later are not touched. -ENODEV: it has no event. */
int cpu_events_set_cpu_period(struct cpu_events *events, int cpu, uint64_t period);

/* Stops the ticks of every CPU, of those that come later too, or lets them go on. Nothing is detached;
 * on_begin starts their clocks anew, so that the pause is no missed tick. Returns 0 or
 * -errno of the first CPU that failed. */
int cpu_events_set_paused(struct cpu_events *events, bool paused);

/* The kernel takes its events off a CPU that goes offline and does not put them back. Where nobody tells, as when a host
 * sleeps, during which all CPUs but one are offline, or where the CPU is back before we look, an event is open and dead:
 * it is opened anew, after on_change was told that the CPU had gone. To be called some seconds apart. Returns how many
 * were dead, or -errno where one could not be opened. */
int cpu_events_revive(struct cpu_events *events);

/* Detaches and closes everything. Idempotent. */
void cpu_events_stop(struct cpu_events *events);

/* perf_event_open(2) for all processes on one CPU, by the opener in `userdata` or, when that is NULL, by
 * this process; the signature of perf_opener. Returns a descriptor or -errno. */
int cpu_events_open(void *userdata, struct perf_event_attr *attr, int cpu);

/* CPUs that could ever exist, from sysfs; at least 1. */
int cpu_events_possible_cpus(void);

/* Calls `callback` for each CPU online now, in order. Returns 0 or the first error. */
int cpu_events_each_online(int (*callback)(void *userdata, int cpu), void *userdata);
