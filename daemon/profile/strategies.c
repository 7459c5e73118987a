/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the rules, and what was found out of each process. */
#include "profile/strategies.h"

#include "base/recent_hash.h"
#include "base/text.h"
#include "process/container.h"
#include "process/process_origin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_PROCESSES 65536U /* remembered; past it all are looked at again */

struct rule {
	struct strategy_rule rule;
	struct strategy strategy; /* its seed tells the rule apart from all others, of other strategies too */
	uint64_t since_ns;
};

/* What a process falls under. */
struct decision {
	uint64_t rules[PROFILE_KIND_COUNT]; /* bit i: rule i, of those that it comes to */
	uint64_t service;
};

struct strategies {
	struct rule *rules;
	size_t count;
	struct hash by_process; /* number -> index into decisions */
	struct recent_hash heap_decisions; /* heap_decision_key() -> the rule's factor, a double's bits */
	struct recent_hash heap_factors;   /* life of a process that is looked at -> that of all rules together */
	ARRAY(struct decision) decisions;
	/* Why processes are left out: bit i: their samples come to rule i, which takes them, but for the last. */
	uint64_t reasons[LEFT_OUT_REASONS];
	int reason_count;
};

int strategies_new(struct strategy_rule *rules, size_t count, uint64_t seed, uint64_t now_ns,
		   struct strategies **ret)
{
	if (count > STRATEGIES_MAX)
		return -E2BIG;
	struct strategies *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->rules = calloc(count + 1, sizeof(*s->rules));
	if (!s->rules) {
		free(s);
		return -ENOMEM;
	}
	s->count = count;
	s->heap_decisions.limit = MAX_PROCESSES * 2; /* of some that come to several */
	s->heap_factors.limit = MAX_PROCESSES;
	for (size_t i = 0; i < count; i++) {
		struct strategy_options options = rules[i].options;
		options.seed = hash_mix(seed + i + 1);
		s->rules[i].rule = rules[i];
		s->rules[i].since_ns = now_ns;
		rules[i] = (struct strategy_rule){0};
		strategy_init(&s->rules[i].strategy, &options);
	}
	*ret = s;
	return 0;
}

struct strategies *strategies_free(struct strategies *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->count; i++) {
		strategy_rule_free(&s->rules[i].rule);
		strategy_deinit(&s->rules[i].strategy);
	}
	hash_free(&s->by_process);
	recent_hash_free(&s->heap_decisions);
	recent_hash_free(&s->heap_factors);
	array_free(&s->decisions);
	free(s->rules);
	free(s);
	return NULL;
}

/* ---- Other strategies in place of these -------------------------------------------------------- */

static void swap_hashes(struct recent_hash *a, struct recent_hash *b)
{
	struct recent_hash other = *a;
	*a = *b;
	*b = other;
}

/* What it has decided, knows of the load and has counted; its seed, by which it decides. */
static void swap_states(struct rule *a, struct rule *b)
{
	struct rule other = *a;
	a->strategy = b->strategy;
	a->since_ns = b->since_ns;
	b->strategy = other.strategy;
	b->since_ns = other.since_ns;
}

void strategies_go_on(struct strategies *s, struct strategies *before)
{
	if (!before)
		return;
	for (size_t i = 0; i < s->count; i++)
		for (size_t k = 0; k < before->count; k++)
			if (strategy_rules_equal(&s->rules[i].rule, &before->rules[k].rule))
				swap_states(&s->rules[i], &before->rules[k]);
	swap_hashes(&s->heap_decisions, &before->heap_decisions);
	swap_hashes(&s->heap_factors, &before->heap_factors);
}

/* ---- Matching -------------------------------------------------------------------------------- */

static bool matches(const char *pattern, const char *text)
{
	return text && text_matches(pattern, text);
}

static bool matches_unit(const char *pattern, const struct process *process)
{
	struct container_identity identity = {0};
	const char *path = process->cgroup_path;
	if (!path)
		return false;
	container_identify((struct slice){path, strlen(path)}, &identity);
	_cleanup_free_ char *unit =
		identity.unit.length ? strndup(identity.unit.bytes, identity.unit.length) : NULL;
	return matches(pattern, unit);
}

/* What is looked for among a process's attributes. */
struct search {
	const struct strategy_match *match;
	bool has_container;
	size_t attributes; /* of the match, that hold */
};

static void look_at(void *userdata, const struct origin_attribute *attribute)
{
	struct search *s = userdata;
	const struct strategy_match *match = s->match;
	bool is_container = !strcmp(attribute->key, "container.id") ||
			    !strcmp(attribute->key, "container.name") ||
			    !strcmp(attribute->key, "k8s.container.name");
	if (match->container && is_container)
		s->has_container |= text_matches(match->container, attribute->value);
	for (size_t i = 0; i < match->attributes.count; i++)
		s->attributes += !strcmp(match->attributes.items[i].key, attribute->key) &&
				 text_matches(match->attributes.items[i].pattern, attribute->value);
}

static bool rule_matches(const struct strategy_match *match, const struct process *process,
			 struct pod_names *names, uint64_t now_ns)
{
	if (match->executable && !matches(match->executable, process->executable_path) &&
	    !matches(match->executable, process->executable_name))
		return false;
	if (match->cgroup && !matches(match->cgroup, process->cgroup_path))
		return false;
	if (match->unit && !matches_unit(match->unit, process))
		return false;
	if (!match->container && !match->attributes.count)
		return true;
	struct search search = {.match = match};
	process_origin_visit(process, names, now_ns, look_at, &search);
	return (!match->container || search.has_container) &&
	       search.attributes == match->attributes.count;
}

static void note_service(void *userdata, const struct origin_attribute *attribute)
{
	if (!strcmp(attribute->key, "service.name"))
		*(uint64_t *)userdata = hash_bytes(attribute->value, strlen(attribute->value));
}

/* Where nothing names it, the program is the service. */
static uint64_t service_of(const struct process *process, struct pod_names *names, uint64_t now_ns)
{
	uint64_t service = hash_bytes(process->executable_name, strlen(process->executable_name));
	process_origin_visit(process, names, now_ns, note_service, &service);
	return service;
}

static struct decision judge(const struct strategies *s, const struct process *process,
			    struct pod_names *names, uint64_t now_ns)
{
	struct decision decision = {.service = service_of(process, names, now_ns)};
	bool is_decided[PROFILE_KIND_COUNT] = {false};
	for (size_t i = 0; i < s->count; i++) {
		const struct strategy_rule *rule = &s->rules[i].rule;
		if (is_decided[rule->kind] || !rule_matches(&rule->match, process, names, now_ns))
			continue;
		decision.rules[rule->kind] |= UINT64_C(1) << i;
		is_decided[rule->kind] = !rule->goes_on;
	}
	return decision;
}

static struct decision decision_of(struct strategies *s, const struct process *process,
				 struct pod_names *names, uint64_t now_ns)
{
	const uint64_t *known = hash_get(&s->by_process, process->number);
	if (known)
		return s->decisions.items[*known];
	struct decision decision = judge(s, process, names, now_ns);
	if (s->decisions.count >= MAX_PROCESSES)
		strategies_forget_processes(s);
	/* Out of memory it is looked at again for the next sample. */
	if (array_add(&s->decisions, decision) == 0 &&
	    hash_put(&s->by_process, process->number, s->decisions.count - 1) < 0)
		s->decisions.count--;
	return decision;
}

double strategies_offer(struct strategies *s, const struct record_sample *sample,
			const struct record_trace *trace, const struct process *process, struct pod_names *names)
{
	int kind = profile_kind_of_event(sample->event);
	if (kind < 0 || kind == PROFILE_KIND_HEAP) /* a place of a process that was chosen */
		return 1;
	struct decision decision = decision_of(s, process, names, sample->header.time);
	struct strategy_sample offered = {.time_ns = sample->header.time,
					  .process = process->life,
					  .service = decision.service,
					  .has_trace = trace != NULL};
	if (trace)
		offered.trace_randomness = strategy_trace_randomness(trace->trace_id);
	double factor = 1;
	for (uint64_t left = decision.rules[kind]; left && factor > 0; left &= left - 1) {
		struct strategy *strategy = &s->rules[__builtin_ctzll(left)].strategy;
		offered.weight = (uint64_t)(factor * (double)sample->weight + 0.5);
		factor *= strategy_offer(strategy, &offered);
	}
	return factor;
}

/* ---- Heaps ----------------------------------------------------------------------------------- */

/* Lives are counted from 1, seeds are anywhere in 64 bits. */
static uint64_t heap_decision_key(const struct strategy *strategy, uint64_t life)
{
	return strategy->options.seed + life;
}

static double factor_from_bits(uint64_t bits)
{
	double factor;
	memcpy(&factor, &bits, sizeof(factor));
	return factor;
}

static int put_factor(struct recent_hash *hash, uint64_t key, double factor)
{
	uint64_t bits;
	memcpy(&bits, &factor, sizeof(bits));
	return recent_hash_put(hash, key, bits);
}

/* What a rule has decided of the process, or does now. Without memory for that it is left out, and decided next time. */
static double decide_heap(struct strategies *s, struct strategy *strategy, const struct strategy_sample *offered)
{
	uint64_t key = heap_decision_key(strategy, offered->process);
	const uint64_t *known = recent_hash_get(&s->heap_decisions, key);
	if (known)
		return factor_from_bits(*known);
	if (put_factor(&s->heap_decisions, key, 0) < 0)
		return 0;
	double factor = strategy_offer(strategy, offered);
	put_factor(&s->heap_decisions, key, factor);
	return factor;
}

double strategies_offer_heap(struct strategies *s, const struct process *process, struct pod_names *names,
			     uint64_t now_ns)
{
	struct decision decision = decision_of(s, process, names, now_ns);
	struct strategy_sample offered = {
		.time_ns = now_ns, .process = process->life, .service = decision.service, .weight = 1};
	double factor = 1;
	for (uint64_t left = decision.rules[PROFILE_KIND_HEAP]; left && factor > 0; left &= left - 1)
		factor *= decide_heap(s, &s->rules[__builtin_ctzll(left)].strategy, &offered);
	if (factor > 0 && put_factor(&s->heap_factors, process->life, factor) < 0)
		return 0;
	return factor;
}

double strategies_heap_factor(struct strategies *s, const struct process *process)
{
	const uint64_t *known = recent_hash_get(&s->heap_factors, process->life);
	return known ? factor_from_bits(*known) : 1;
}

/* ---- Processes that are left out whole --------------------------------------------------------- */

bool strategies_leave_out(const struct strategies *s)
{
	for (size_t i = 0; s && i < s->count; i++) {
		const struct strategy_rule *rule = &s->rules[i].rule;
		if (rule->kind == PROFILE_KIND_CPU &&
		    (rule->options.kind == STRATEGY_NEVER || rule->options.by == STRATEGY_BY_PROCESS))
			return true;
	}
	return false;
}

static int number_reason(struct strategies *s, uint64_t rules)
{
	int i = 0;
	while (i < s->reason_count && s->reasons[i] != rules)
		i++;
	if (i == LEFT_OUT_REASONS)
		return -1;
	if (i == s->reason_count)
		s->reasons[s->reason_count++] = rules;
	return i;
}

int strategies_reason(struct strategies *s, const struct record_sample *sample, const struct process *process,
		      struct pod_names *names)
{
	if (profile_kind_of_event(sample->event) != PROFILE_KIND_CPU)
		return -1;
	struct decision decision = decision_of(s, process, names, sample->header.time);
	uint64_t passed = 0;
	for (uint64_t left = decision.rules[PROFILE_KIND_CPU]; left; left &= left - 1) {
		double factor;
		passed |= left & -left;
		if (!strategy_decides_process(&s->rules[__builtin_ctzll(left)].strategy, process->life, &factor))
			return -1;
		if (factor == 0)
			return number_reason(s, passed);
	}
	return -1;
}

void strategies_count_left_out(struct strategies *s, int reason, uint64_t samples, uint64_t weight)
{
	double factor = 1;
	if (!samples || reason >= s->reason_count) /* of strategies that were before */
		return;
	for (uint64_t left = s->reasons[reason]; left; left &= left - 1) {
		struct strategy *strategy = &s->rules[__builtin_ctzll(left)].strategy;
		bool is_last = !(left & (left - 1));
		double own = is_last ? 0 : strategy->options.kind == STRATEGY_ALWAYS ? 1 : 1 / strategy->options.ratio;
		strategy_count(strategy, samples, (uint64_t)(factor * (double)weight + 0.5), own);
		factor *= own;
	}
}

void strategies_forget_processes(struct strategies *s)
{
	hash_clear(&s->by_process);
	s->decisions.count = 0;
}

/* ---- What they did --------------------------------------------------------------------------- */

void strategies_reset(struct strategies *s, uint64_t now_ns)
{
	for (size_t i = 0; i < s->count; i++) {
		s->rules[i].since_ns = now_ns;
		strategy_reset_statistics(&s->rules[i].strategy);
	}
}

size_t strategies_count(const struct strategies *s)
{
	return s ? s->count : 0;
}

void strategies_get(const struct strategies *s, size_t index, struct strategy_report *ret)
{
	const struct rule *rule = &s->rules[index];
	*ret = (struct strategy_report){.rule = &rule->rule,
					.statistics = rule->strategy.statistics,
					.services = rule->strategy.flows.count,
					.since_ns = rule->since_ns};
}
