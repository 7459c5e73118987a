/* SPDX-License-Identifier: Apache-2.0 */
/* See recording_comments.h. A reading is never less than an earlier one but for rounding: never below 0. */
#include "profile/recording_comments.h"

#include <errno.h>
#include <stdio.h>

static const char *const counter_names[] = {
#define COUNTER_NAME(id, name, what) name,
	BOLOMETER_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
};

static const char *const end_names[] = {
#define STACK_END_NAME(id, text) "end." text,
	BOLOMETER_STACK_ENDS(STACK_END_NAME)
#undef STACK_END_NAME
};

static void add(struct profile *profile, bool *failed, const char *name, uint64_t value)
{
	char text[128];
	snprintf(text, sizeof(text), "%s=%llu", name, (unsigned long long)value);
	if (array_add(&profile->comments, profile_string(profile, text, failed)) < 0)
		*failed = true;
}

static uint64_t difference(uint64_t now, uint64_t since)
{
	return now > since ? now - since : 0;
}

/* Those of the ticks come first in the list, then those of all stacks. */
static bool tells_about(enum profile_kind kind, size_t counter)
{
	if (counter >= COUNTER_HEAP_ALLOCATIONS)
		return kind == PROFILE_KIND_HEAP;
	if (counter >= COUNTER_GROWTH_FAULTS)
		return kind == PROFILE_KIND_GROWTH;
	return kind == PROFILE_KIND_CPU || counter >= COUNTER_STACKS_SENT;
}

/* Shares in parts in a million of the CPU time of all CPUs. */
static void add_budget(const struct budget_report *budget, struct profile *profile, bool *failed)
{
	add(profile, failed, "budget_cpu_ppm", (uint64_t)(budget->share * 1e6));
	add(profile, failed, "budget_minute_cost_ppm", (uint64_t)(budget->window_cost * 1e6));
	add(profile, failed, "budget_dearest_minute_ppm", (uint64_t)(budget->dearest_cost * 1e6));
	add(profile, failed, "budget_kept", budget->dearest_cost <= budget->share);
	add(profile, failed, "budget_frequency_hz", budget->setting.frequency);
	add(profile, failed, "budget_chance_ppm", (uint64_t)(budget->chance * 1e6));
	add(profile, failed, "budget_heap_ppm", (uint64_t)(budget->setting.heap_share * 1e6));
	add(profile, failed, "budget_infeasible", budget->infeasible);
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++) {
		char name[64];
		snprintf(name, sizeof(name), "budget_without.%s", budget_lever_name((enum budget_lever)i));
		if (budget->setting.used & BUDGET_LEVER_BIT(i))
			add(profile, failed, name, 1);
	}
}

int recording_add_strategies(const struct strategies *strategies, enum profile_kind kind,
			     struct profile *profile)
{
	bool failed = false;
	for (size_t i = 0; i < strategies_count(strategies); i++) {
		struct strategy_report report;
		char description[128], text[256];
		strategies_get(strategies, i, &report);
		if (report.rule->kind != kind)
			continue;
		strategy_rule_describe(report.rule, description, sizeof(description));
		snprintf(text, sizeof(text), "strategy.%s=%s", report.rule->name, description);
		if (array_add(&profile->comments, profile_string(profile, text, &failed)) < 0)
			failed = true;
	}
	return failed ? -ENOMEM : 0;
}

/* Bytes; and how often each lever was moved since the last profile. */
static void add_memory_budget(const struct memory_budget *now, const struct memory_budget *since,
			      struct profile *profile, bool *failed)
{
	add(profile, failed, "budget_memory_bytes", now->limit);
	add(profile, failed, "budget_memory_peak_bytes", now->peak);
	add(profile, failed, "budget_memory_infeasible", now->infeasible);
	for (int i = 0; i < MEMORY_LEVER_COUNT; i++) {
		char name[64];
		snprintf(name, sizeof(name), "budget_memory_gave_up.%s",
			 memory_lever_name((enum memory_lever)i));
		if (now->moved[i] > since->moved[i])
			add(profile, failed, name, now->moved[i] - since->moved[i]);
	}
}

int recording_add_comments(const struct recording_statistics *now,
			   const struct recording_statistics *since, enum profile_kind kind,
			   bool times, struct profile *profile)
{
	bool failed = false;
#define ADD_COUNTED(name, field) add(profile, &failed, name, difference(now->field, since->field))
	for (size_t i = 0; i < COUNTER_MAX; i++)
		if (tells_about(kind, i))
			ADD_COUNTED(counter_names[i], counters[i]);
	if (kind == PROFILE_KIND_GROWTH && now->growth_not_taken > since->growth_not_taken) {
		ADD_COUNTED("growth_not_taken", growth_not_taken);
		ADD_COUNTED("growth_not_taken_bytes", growth_not_taken_bytes);
	}
	ADD_COUNTED("dropped_samples", dropped_samples);
	ADD_COUNTED("sideband_lost", sideband_lost);
	if (times)
		ADD_COUNTED("untimed_samples", untimed_samples);
	for (size_t i = 0; i < STACK_END_MAX; i++)
		if (now->ends[i] > since->ends[i])
			ADD_COUNTED(end_names[i], ends[i]);
#define ADD_LOSS(name, source, what)                             \
	if (now->losses.name > since->losses.name)       \
		ADD_COUNTED(#name, losses.name);
	RECORDING_LOSSES(ADD_LOSS)
#undef ADD_LOSS
	ADD_COUNTED("own_cpu_ns", own_cpu_ns);
	ADD_COUNTED("bpf_ns", bpf_ns);
#undef ADD_COUNTED
	for (int i = 0; i < SAFE_MODE_FEATURE_COUNT; i++) {
		char name[64];
		snprintf(name, sizeof(name), "safe_mode.%s", safe_mode_name((enum safe_mode_feature)i));
		if (now->safe_mode & SAFE_MODE_BIT(i))
			add(profile, &failed, name, 1);
	}
	if (now->budget.share > 0)
		add_budget(&now->budget, profile, &failed);
	if (now->memory_budget.limit)
		add_memory_budget(&now->memory_budget, &since->memory_budget, profile, &failed);
	add(profile, &failed, "memory_bytes", now->memory_bytes);
	add(profile, &failed, "load_ns", now->phases.load_ns);
	add(profile, &failed, "load_cpu_ns", now->phases.load_cpu_ns);
	add(profile, &failed, "first_complete_ns", now->phases.first_complete_ns);
	add(profile, &failed, "first_complete_cpu_ns", now->phases.first_complete_cpu_ns);
	add(profile, &failed, "capture_cpu_ns", now->phases.capture_cpu_ns);
	return failed ? -ENOMEM : 0;
}
