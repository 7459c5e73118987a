/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look reads what the program has counted and fits its pace to that. A burst is met before the next look: the program
 * asks for a longer period (hurry).
 */
#include "collect/growth_events.h"

#include "base/clock.h"
#include "base/log.h"
#include "bolometer.skel.h"

#include <errno.h>
#include <string.h>

#define LOOK_INTERVAL_NS (150 * NS_PER_MS) /* the collector calls more often where samples are many */
#define LEAST_LOOK_NS (100ULL * 1000)	   /* a shorter stretch says nothing of a rate */
#define LARGE_PAGES_INTERVAL_NS (10 * NS_PER_SECOND) /* an administrator's change is seen then */

static int tell_program(struct growth_events *growth, uint32_t number)
{
	const struct growth_pace *pace = &growth->cpus.items[number].pace;
	return programs_set_growth_pace(growth->programs, number, (uint32_t)pace->period, growth_pace_limit(pace));
}

/* A CPU begins with every fault, at first and when it comes back. */
static int restart_pace(struct growth_events *growth, uint32_t number)
{
	struct growth_cpu *cpu = &growth->cpus.items[number];
	*cpu = (struct growth_cpu){.pace.period = 1, .look_ns = monotonic_ns()};
	programs_read_growth(growth->programs, number, &cpu->faults, &cpu->samples);
	return tell_program(growth, number);
}

static int begin_cpu(void *userdata, int number)
{
	struct growth_events *growth = userdata;
	if ((size_t)number >= growth->cpus.count)
		return 0;
	int r = cpu_events_set_cpu_period(&growth->events, number, 1); /* after a pause; a new one has it */
	return r < 0 && r != -ENODEV ? r : restart_pace(growth, (uint32_t)number);
}

static void change_cpu(void *userdata, int cpu, bool online)
{
	const struct growth_events *growth = userdata;
	if (growth->on_change)
		growth->on_change(growth->userdata, cpu, online);
}

void growth_events_init(struct growth_events *growth, struct programs *programs, struct opener *opener,
			cpu_change_callback on_change, void *userdata)
{
	struct cpu_event_kind faults = {PERF_COUNT_SW_PAGE_FAULTS_MIN, 1};
	*growth = (struct growth_events){.programs = programs, .on_change = on_change, .userdata = userdata};
	cpu_events_init(&growth->events, programs->skeleton->progs.on_page_fault, faults, opener, begin_cpu,
			change_cpu, growth);
}

int growth_events_start(struct growth_events *growth, struct loop *loop)
{
	array_free(&growth->cpus);
	programs_set_large_pages(growth->programs);
	growth->large_pages_ns = monotonic_ns();
	for (int i = 0; i < growth->programs->cpu_count; i++) {
		int r = array_add(&growth->cpus, (struct growth_cpu){0});
		if (r == 0)
			r = restart_pace(growth, (uint32_t)i);
		if (r < 0)
			return r;
	}
	return cpu_events_start(&growth->events, loop);
}

void growth_events_stop(struct growth_events *growth)
{
	if (growth->programs)
		cpu_events_stop(&growth->events);
	array_free(&growth->cpus);
}

static void set_pace(struct growth_events *growth, uint32_t number, uint64_t period_before)
{
	uint64_t period = growth->cpus.items[number].pace.period;
	int r = tell_program(growth, number);
	/* The event begins a period anew when it is told one, the same or not. */
	if (r == 0 && period != period_before)
		r = cpu_events_set_cpu_period(&growth->events, (int)number, period);
	/* A CPU that is away has no faults either. */
	if (r < 0 && r != -ENODEV)
		log_debug("the pace of page faults on CPU %u stays: %s", number, strerror(-r));
}

/* Returns whether its pace has changed. */
static bool look_at(struct growth_events *growth, uint32_t number, uint64_t now_ns)
{
	struct growth_cpu *cpu = &growth->cpus.items[number], now = *cpu;
	programs_read_growth(growth->programs, number, &now.faults, &now.samples);
	now.look_ns = now_ns;
	bool changed = growth_pace_update(&now.pace, now.faults - cpu->faults, now.samples - cpu->samples,
					  now_ns - cpu->look_ns);
	uint64_t period_before = cpu->pace.period;
	*cpu = now;
	if (changed)
		set_pace(growth, number, period_before);
	return changed;
}

void growth_events_hurry(struct growth_events *growth, uint32_t cpu, uint64_t now_ns)
{
	if (cpu < growth->cpus.count && now_ns - growth->cpus.items[cpu].look_ns >= LEAST_LOOK_NS)
		look_at(growth, cpu, now_ns);
}

bool growth_events_regulate(struct growth_events *growth, uint64_t now_ns)
{
	bool changed = false;
	for (uint32_t i = 0; i < growth->cpus.count; i++)
		if (now_ns - growth->cpus.items[i].look_ns >= (uint64_t)LOOK_INTERVAL_NS)
			changed |= look_at(growth, i, now_ns);
	if (now_ns - growth->large_pages_ns >= (uint64_t)LARGE_PAGES_INTERVAL_NS) {
		programs_set_large_pages(growth->programs);
		growth->large_pages_ns = now_ns;
	}
	return changed;
}
