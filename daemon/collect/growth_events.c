/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of the program that takes no sample costs a microsecond or so, mostly for finding the mapping: some
 * hundred a second and CPU are a few hundredths of a percent of it. A burst is met before the next look: the
 * program asks for a longer period (hurry).
 */
#include "collect/growth_events.h"

#include "base/clock.h"
#include "base/log.h"
#include "bolometer.skel.h"

#include <errno.h>
#include <string.h>

#define RUNS_PER_SECOND 250
#define LOOK_INTERVAL_NS (150 * NS_PER_MS) /* the collector calls more often where samples are many */
#define LEAST_LOOK_NS (100ULL * 1000)	   /* a shorter stretch says nothing of a rate */
#define LARGE_PAGES_INTERVAL_NS (10 * NS_PER_SECOND) /* an administrator's change is seen then */

/* Primes, so that a program which touches memory in turns of a few pages does not keep in step. */
static const uint64_t periods[] = {1, 3, 7, 13, 29, 61, 127, 251};

void growth_events_init(struct growth_events *growth, struct programs *programs, struct opener *opener,
			cpu_change_callback on_change, void *userdata)
{
	struct cpu_event_kind faults = {PERF_COUNT_SW_PAGE_FAULTS_MIN, 1};
	*growth = (struct growth_events){.programs = programs};
	cpu_events_init(&growth->events, programs->skeleton->progs.on_page_fault, faults, opener, NULL,
			on_change, userdata);
}

int growth_events_start(struct growth_events *growth, struct loop *loop)
{
	struct growth_cpu cpu = {.period = 1, .look_ns = monotonic_ns()};
	array_free(&growth->cpus);
	programs_set_large_pages(growth->programs);
	growth->large_pages_ns = cpu.look_ns;
	for (int i = 0; i < growth->programs->cpu_count; i++) {
		cpu.faults = programs_read_counter(growth->programs, (uint32_t)i, COUNTER_GROWTH_FAULTS);
		int r = array_add(&growth->cpus, cpu);
		if (r == 0)
			r = programs_set_growth_period(growth->programs, (uint32_t)i, 1);
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

uint64_t growth_period_for(uint64_t period, uint64_t faults_per_second)
{
	uint64_t wanted = faults_per_second / RUNS_PER_SECOND, least = MAX_OF(period / 8, 1UL);
	/* Not changed for little: each change passes over what was on the way. */
	if (wanted <= period + period / 2 && wanted >= period / 2)
		return period;
	wanted = MAX_OF(wanted, wanted < period ? least : 1UL);
	for (size_t i = 0; i < ARRAY_LENGTH(periods); i++)
		if (periods[i] >= wanted)
			return periods[i];
	return periods[ARRAY_LENGTH(periods) - 1];
}

static void set_period(struct growth_events *growth, uint32_t number, uint64_t period)
{
	struct growth_cpu *cpu = &growth->cpus.items[number];
	int r = programs_set_growth_period(growth->programs, number, (uint32_t)period);
	if (r == 0)
		r = cpu_events_set_cpu_period(&growth->events, (int)number, period);
	/* A CPU that is away has no faults either, and begins with every fault when it comes back. */
	if (r < 0 && r != -ENODEV)
		log_debug("the period of page faults on CPU %u stays: %s", number, strerror(-r));
	cpu->period = period;
}

static void look_at(struct growth_events *growth, uint32_t number, uint64_t now_ns)
{
	struct growth_cpu *cpu = &growth->cpus.items[number];
	uint64_t faults = programs_read_counter(growth->programs, number, COUNTER_GROWTH_FAULTS);
	uint64_t elapsed = now_ns - cpu->look_ns;
	uint64_t rate = (faults - cpu->faults) * (uint64_t)NS_PER_SECOND / elapsed;
	uint64_t period = growth_period_for(cpu->period, rate);
	cpu->faults = faults;
	cpu->look_ns = now_ns;
	if (period != cpu->period)
		set_period(growth, number, period);
}

void growth_events_hurry(struct growth_events *growth, uint32_t cpu, uint64_t now_ns)
{
	if (cpu < growth->cpus.count && now_ns - growth->cpus.items[cpu].look_ns >= LEAST_LOOK_NS)
		look_at(growth, cpu, now_ns);
}

void growth_events_regulate(struct growth_events *growth, uint64_t now_ns)
{
	for (uint32_t i = 0; i < growth->cpus.count; i++)
		if (now_ns - growth->cpus.items[i].look_ns >= (uint64_t)LOOK_INTERVAL_NS)
			look_at(growth, i, now_ns);
	if (now_ns - growth->large_pages_ns < (uint64_t)LARGE_PAGES_INTERVAL_NS)
		return;
	programs_set_large_pages(growth->programs);
	growth->large_pages_ns = now_ns;
}
