/* SPDX-License-Identifier: Apache-2.0 */
/* What changes while sampling: the rate, pauses, and what the budget moves. */
#include "profile/recording_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_paused(const struct recording *r)
{
	return r->paused_since_ns != 0;
}

static void set_rate(struct recording *r, uint32_t frequency)
{
	if (r->options.on_rate_change && !is_paused(r))
		r->options.on_rate_change(r->options.rate_userdata);
	int error = collector_set_frequency(r->collector, frequency);
	if (error < 0)
		log_warning("a CPU keeps its old rate: %s", strerror(-error));
	r->rate = frequency;
}

static void set_following(struct recording *r, bool following)
{
	struct collect_failure cause = {{0}};
	if (collector_set_following(r->collector, following, &cause) < 0)
		log_warning("processes are not followed any more: %s", cause.text);
}

static void set_lever(struct recording *r, enum budget_lever lever, bool used)
{
	if (lever == BUDGET_LEVER_LINES)
		r->without_lines = used;
	else if (lever == BUDGET_LEVER_WINDOWS)
		collector_set_heap_rare(r->collector, used);
	else if (lever == BUDGET_LEVER_FOLLOWING)
		set_following(r, !used);
	else if (lever == BUDGET_LEVER_DEPTH)
		collector_set_depth(r->collector, used ? MIN_OF(r->options.max_frames, BUDGET_SHALLOW_FRAMES)
						       : r->options.max_frames);
}

static void set_levers(struct recording *r, unsigned used)
{
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++)
		set_lever(r, (enum budget_lever)i, used & BUDGET_LEVER_BIT(i));
}

void recording_grant_reading(struct recording *r, uint64_t cpu_ns)
{
	binary_store_grant(collector_binary_store(r->collector), cpu_ns);
}

static void allow_heap(struct recording *r, double cpu_ns)
{
	collector_allow_heap(r->collector, cpu_ns);
}

/* What was sampled by now has the weight of its time: it is delivered first. */
static void set_sampling(struct recording *r, bool on, double weight)
{
	collector_drain(r->collector);
	r->weight = weight;
	r->is_resting = !on;
	int error = collector_set_paused(r->collector, !on);
	if (error < 0)
		log_warning("a CPU %s: %s", on ? "does not tick again" : "ticks on",
			    strerror(-error));
}

int recording_start_budget(struct recording *r, uint64_t own_cpu_ns)
{
	static const struct recording_levers levers = {set_rate, set_lever, recording_grant_reading,
						      allow_heap, set_sampling, is_paused};
	struct budget_options options = {.share = r->options.max_cpu,
					 .highest_hz = r->options.frequency,
					 .seed = monotonic_ns()};
	if (r->options.max_frames <= BUDGET_SHALLOW_FRAMES)
		options.without |= BUDGET_LEVER_BIT(BUDGET_LEVER_DEPTH);
	if (!recording_looks_at(r, PROFILE_KIND_HEAP))
		options.without |= BUDGET_LEVER_BIT(BUDGET_LEVER_WINDOWS);
	uint32_t first_hz = budget_first_hz(options.share, options.highest_hz);
	if (r->rate != first_hz)
		set_rate(r, first_hz);
	return recording_budget_new(r->loop, r, &levers, &options, r->options.opener, own_cpu_ns,
				    &r->budget);
}

void recording_set_links(struct recording *r, bool links, bool labels)
{
	r->options.links = links;
	r->options.link_labels = labels;
	aggregate_keep_links(&r->aggregate, links);
}

int recording_set_max_cpu(struct recording *r, double max_cpu)
{
	r->options.max_cpu = max_cpu;
	if (r->budget && max_cpu > 0) {
		recording_budget_change(r->budget, max_cpu, r->options.frequency);
		return 0;
	}
	if (max_cpu > 0)
		return recording_start_budget(r, recording_own_cpu_ns(r));
	r->budget = recording_budget_free(r->budget);
	set_levers(r, 0);
	recording_grant_reading(r, PARSER_UNLIMITED);
	collector_allow_heap(r->collector, INFINITY);
	if (r->weight != 1 && !is_paused(r))
		set_sampling(r, true, 1);
	if (r->rate != r->options.frequency)
		set_rate(r, r->options.frequency);
	return 0;
}

int recording_set_frequency(struct recording *r, uint32_t frequency)
{
	if (r->budget) {
		r->options.frequency = frequency;
		recording_budget_change(r->budget, r->options.max_cpu, frequency);
		return 0;
	}
	int error = collector_set_frequency(r->collector, frequency);
	if (error == 0)
		r->options.frequency = r->rate = frequency;
	return error;
}

int recording_pause(struct recording *r)
{
	int error = collector_set_paused(r->collector, true);
	collector_set_heap_paused(r->collector, true);
	if (!r->paused_since_ns)
		r->paused_since_ns = monotonic_ns();
	return error;
}

void recording_detach(struct recording *r)
{
	collector_detach(r->collector);
	recording_budget_detach(r->budget);
	if (!r->paused_since_ns)
		r->paused_since_ns = monotonic_ns();
}

int recording_resume(struct recording *r, struct recording_failure *failure)
{
	struct collect_failure cause = {{0}};
	int error = collector_attach(r->collector, &cause);
	if (error < 0) {
		snprintf(failure->text, sizeof(failure->text), "%s",
			 cause.text[0] ? cause.text : strerror(-error));
		return error;
	}
	uint64_t now = monotonic_ns();
	if (r->paused_since_ns)
		r->paused_ns += now - r->paused_since_ns;
	r->paused_since_ns = 0;
	r->interval_ns = now;
	error = collector_set_heap_paused(r->collector, false);
	if (error < 0)
		log_error("allocators are not probed any more: %s", strerror(-error));
	return collector_set_paused(r->collector, r->is_resting);
}
