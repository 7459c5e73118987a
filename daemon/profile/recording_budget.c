/* SPDX-License-Identifier: Apache-2.0 */
/* See recording_budget.h. The first step pays for the start: loading is part of the cost. */
#include "profile/recording_budget.h"

#include "base/clock.h"
#include "base/log.h"
#include "collect/interrupt_cost.h"
#include "profile/recording_state.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Where the kernel does not tell the run time of its programs, ns: a high guess costs rate, a low one would
 * break the budget. */
#define GUESSED_SAMPLE_NS 20000
#define GUESSED_TICK_NS 3000

/* Measuring what an interrupt costs: at the start at most a second's worth of the budget, then a slice every two seconds
 * for half a minute, as a virtual machine may be slow for a while. */
#define PRICE_SECONDS 1
#define PRICE_SLICES_MIN 8
#define PRICE_SLICES_MAX 40
#define PRICE_LOOKS 16
#define PRICE_PATIENCE 4
#define PRICE_STEPS (2000000000ULL / BUDGET_STEP_NS)

struct recording_budget {
	struct budget controller;
	struct recording *recording;
	struct recording_levers levers;
	struct loop_source *timer;
	struct interrupt_cost *price; /* until it is known well */
	uint64_t interrupt_ns;	      /* of one tick */
	uint32_t price_steps;	      /* since the start, of those that the price is looked at */
	uint64_t own_ns, tick_ns, heap_ns, reading_ns; /* spent at the last step */
	uint64_t ticks;		  /* until then */
	uint64_t read_ns;	  /* when that was, CLOCK_MONOTONIC */
	bool was_infeasible;
};

/* Since the start. */
struct cost {
	uint64_t own_cpu_ns, bpf_ns, heap_ns, samples;
	uint64_t reading_ns; /* of own_cpu_ns */
	uint64_t ticks; /* that met a program */
};

static uint32_t host_cpus(void)
{
	return (uint32_t)MAX_OF(sysconf(_SC_NPROCESSORS_ONLN), 1);
}

static struct cost read_cost(const struct recording *recording)
{
	struct collector_cost kernel;
	struct cost cost = {.own_cpu_ns = recording_own_cpu_ns(recording),
			    .reading_ns = collector_parser_cpu_ns(recording->collector)};
	collector_get_cost(recording->collector, &kernel);
	const uint64_t *counters = kernel.counters;
	uint64_t without = counters[COUNTER_IDLE] + counters[COUNTER_MISSED];
	cost.bpf_ns = kernel.bpf_ns;
	cost.heap_ns = kernel.heap_ns;
	cost.samples = counters[COUNTER_SAMPLES];
	cost.ticks = counters[COUNTER_TICKS] > without ? counters[COUNTER_TICKS] - without : 0;
	return cost;
}

/* What the ticks cost since the start, ns. */
static uint64_t tick_cost(const struct recording_budget *budget, const struct cost *cost)
{
	uint64_t bpf = cost->bpf_ns;
	if (!bpf)
		bpf = cost->samples * GUESSED_SAMPLE_NS + cost->ticks * GUESSED_TICK_NS;
	return bpf + cost->ticks * budget->interrupt_ns;
}

static void tell_infeasible(struct recording_budget *budget, const struct cost *cost)
{
	struct budget_report report;
	budget_get_report(&budget->controller, &report);
	if (report.infeasible && !budget->was_infeasible)
		log_warning("budget_infeasible: %.2f %% of the CPU time cannot be kept, with every lever "
			    "used the last minute cost %.2f %% (since the start: own processes %.1f s, kernel "
			    "programs %.1f s, interrupts %.1f s, probes %.1f s); allow more, or select less",
			    100 * report.share, 100 * report.window_cost, (double)cost->own_cpu_ns / 1e9,
			    (double)cost->bpf_ns / 1e9,
			    (double)(cost->ticks * budget->interrupt_ns) / 1e9, (double)cost->heap_ns / 1e9);
	else if (!report.infeasible && budget->was_infeasible)
		log_info("the budget of %.2f %% of the CPU time can be kept again",
			 100 * report.share);
	budget->was_infeasible = report.infeasible;
}

static void allow_heap(const struct recording_budget *budget)
{
	double share = budget->controller.setting.heap_share;
	budget->levers.allow_heap(budget->recording, share * host_cpus() * (double)NS_PER_SECOND);
}

static void move_levers(struct recording_budget *budget, const struct budget_setting *old,
			const struct budget_setting *new)
{
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++)
		if ((new->used ^ old->used) & BUDGET_LEVER_BIT(i))
			budget->levers.set_lever(budget->recording, (enum budget_lever)i,
						 new->used & BUDGET_LEVER_BIT(i));
	budget->levers.grant_reading(budget->recording, new->reading_ns);
	if (new->heap_share != old->heap_share)
		allow_heap(budget);
	if (new->frequency != old->frequency)
		budget->levers.set_rate(budget->recording, new->frequency);
	if (new->on != old->on || new->weight != old->weight)
		budget->levers.set_sampling(budget->recording, new->on, new->weight);
}

static uint64_t spent_since(uint64_t now, uint64_t *last)
{
	uint64_t spent = now > *last ? now - *last : 0;
	*last = now;
	return spent;
}

/* Once more, what an interrupt costs. */
static void look_at_price(struct recording_budget *budget, const struct cost *cost)
{
	if (!budget->price || ++budget->price_steps % PRICE_STEPS)
		return;
	/* While a dear start is paid off, what can wait does. */
	if (budget->controller.present_share < budget->controller.options.share / 2 &&
	    budget->price_steps % (PRICE_PATIENCE * PRICE_STEPS))
		return;
	budget->interrupt_ns = interrupt_cost_look(budget->price, 1);
	budget->tick_ns = tick_cost(budget, cost); /* the steps before keep what they were told */
	if (budget->price_steps < PRICE_LOOKS * PRICE_STEPS)
		return;
	budget->price = interrupt_cost_free(budget->price);
	log_debug("an interrupt costs %llu ns here, by later looks", (unsigned long long)budget->interrupt_ns);
}

/* The first time. */
static uint64_t learn_price(struct recording_budget *budget, struct opener *opener, double share)
{
	int r = interrupt_cost_new(opener, &budget->price);
	if (r < 0) {
		log_warning("what an interrupt costs cannot be measured, %d ns are assumed: %s",
			    INTERRUPT_COST_DEFAULT_NS, strerror(-r));
		return INTERRUPT_COST_DEFAULT_NS;
	}
	/* A slice and the pause behind it. */
	uint64_t slices = (uint64_t)(share * host_cpus() * PRICE_SECONDS * 1e9) / (2 * INTERRUPT_COST_SLICE_NS);
	return interrupt_cost_look(budget->price, MAX_OF(MIN_OF(slices, PRICE_SLICES_MAX), PRICE_SLICES_MIN));
}

/* What was spent since the last one; `cost` is that since the start, `heap` what of it hits of probes took, ns. */
static struct budget_reading take_reading(struct recording_budget *budget, const struct cost *cost, uint64_t *heap)
{
	uint64_t now = monotonic_ns();
	uint64_t tick = spent_since(tick_cost(budget, cost), &budget->tick_ns);
	*heap = spent_since(cost->heap_ns, &budget->heap_ns);
	struct budget_reading reading = {
		.elapsed_ns = now - budget->read_ns,
		.cpus = host_cpus(),
		.cost_ns = tick + spent_since(cost->own_cpu_ns, &budget->own_ns) + *heap,
		.tick_ns = tick,
		.ticks = spent_since(cost->ticks, &budget->ticks),
		.reading_ns = spent_since(cost->reading_ns, &budget->reading_ns),
	};
	budget->read_ns = now;
	return reading;
}

static int on_step(struct loop_source *source, uint32_t events, void *userdata)
{
	struct recording_budget *budget = userdata;
	struct cost cost = read_cost(budget->recording);
	uint64_t heap;
	struct budget_setting old = budget->controller.setting;
	struct budget_reading reading = take_reading(budget, &cost, &heap);
	if (budget->levers.is_paused(budget->recording)) {
		budget->levers.grant_reading(budget->recording, old.reading_ns); /* what was sampled before has no names yet */
		return 0;
	}
	look_at_price(budget, &cost);
	struct budget_setting new = budget_step(&budget->controller, &reading);
	move_levers(budget, &old, &new);
	log_debug("budget: a step of %.1f s cost %.4f %%, ticks %.4f %% of it, reading binaries %.4f %%, "
		  "probes on allocators %.4f %%; next at %u Hz%s, %.1f ms for reading, levers %#x",
		  (double)reading.elapsed_ns / 1e9,
		  100.0 * (double)reading.cost_ns / (double)reading.elapsed_ns / reading.cpus,
		  100.0 * (double)reading.tick_ns / (double)reading.elapsed_ns / reading.cpus,
		  100.0 * (double)reading.reading_ns / (double)reading.elapsed_ns / reading.cpus,
		  100.0 * (double)heap / (double)reading.elapsed_ns / reading.cpus,
		  new.frequency, new.on ? "" : ", off", (double)new.reading_ns / 1e6, new.used);
	tell_infeasible(budget, &cost);
	return 0;
}

int recording_budget_new(struct loop *loop, struct recording *recording,
			 const struct recording_levers *levers, const struct budget_options *options,
			 struct opener *opener, uint64_t own_cpu_ns, struct recording_budget **ret)
{
	struct recording_budget *budget = calloc(1, sizeof(*budget));
	if (!budget)
		return -ENOMEM;
	budget->recording = recording;
	budget->levers = *levers;
	budget_init(&budget->controller, options);
	levers->grant_reading(recording, budget->controller.setting.reading_ns);
	allow_heap(budget);
	budget->interrupt_ns = learn_price(budget, opener, options->share);
	struct cost cost = read_cost(recording);
	budget->own_ns = own_cpu_ns;
	budget->tick_ns = tick_cost(budget, &cost);
	budget->heap_ns = cost.heap_ns;
	budget->read_ns = monotonic_ns() - BUDGET_STEP_NS; /* the start is one step more */
	int r = loop_add_timer(loop, BUDGET_STEP_NS, BUDGET_STEP_NS, on_step, budget, &budget->timer);
	if (r < 0) {
		interrupt_cost_free(budget->price);
		free(budget);
		return r;
	}
	log_debug("an interrupt costs %llu ns here", (unsigned long long)budget->interrupt_ns);
	*ret = budget;
	return 0;
}

void recording_budget_detach(struct recording_budget *budget)
{
	if (budget)
		budget->price = interrupt_cost_free(budget->price);
}

struct recording_budget *recording_budget_free(struct recording_budget *budget)
{
	if (!budget)
		return NULL;
	loop_remove(budget->timer);
	interrupt_cost_free(budget->price);
	free(budget);
	return NULL;
}

void recording_budget_change(struct recording_budget *budget, double share, uint32_t highest_hz)
{
	struct budget_setting old = budget->controller.setting;
	budget_change(&budget->controller, share, highest_hz);
	move_levers(budget, &old, &budget->controller.setting);
}

void recording_budget_end(struct recording_budget *budget)
{
	struct cost cost = read_cost(budget->recording);
	uint64_t heap;
	struct budget_reading reading = take_reading(budget, &cost, &heap);
	if (!budget->levers.is_paused(budget->recording))
		budget_end(&budget->controller, &reading);
}

void recording_budget_begin_interval(struct recording_budget *budget)
{
	if (budget)
		budget_begin_interval(&budget->controller);
}

void recording_budget_report(const struct recording_budget *budget, struct budget_report *ret)
{
	budget_get_report(&budget->controller, ret);
}
