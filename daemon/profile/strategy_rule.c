/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/strategy_rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strategy_rule_free(struct strategy_rule *rule)
{
	struct strategy_match *match = &rule->match;
	free(rule->name);
	free(match->executable);
	free(match->cgroup);
	free(match->unit);
	free(match->container);
	for (size_t i = 0; i < match->attributes.count; i++) {
		free(match->attributes.items[i].key);
		free(match->attributes.items[i].pattern);
	}
	array_free(&match->attributes);
	*rule = (struct strategy_rule){0};
}

/* NULL is equal to itself only. */
static bool texts_equal(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool matches_equal(const struct strategy_match *a, const struct strategy_match *b)
{
	bool equal = texts_equal(a->executable, b->executable) && texts_equal(a->cgroup, b->cgroup) &&
		     texts_equal(a->unit, b->unit) && texts_equal(a->container, b->container) &&
		     a->attributes.count == b->attributes.count;
	for (size_t i = 0; equal && i < a->attributes.count; i++)
		equal = texts_equal(a->attributes.items[i].key, b->attributes.items[i].key) &&
			texts_equal(a->attributes.items[i].pattern, b->attributes.items[i].pattern);
	return equal;
}

static bool options_equal(const struct strategy_options *a, const struct strategy_options *b)
{
	bool is_same_interval = a->by != STRATEGY_BY_INTERVAL || a->interval_ns == b->interval_ns;
	return a->kind == b->kind && a->by == b->by && a->ratio == b->ratio && is_same_interval &&
	       a->samples == b->samples && a->hosts == b->hosts;
}

bool strategy_rules_equal(const struct strategy_rule *a, const struct strategy_rule *b)
{
	return texts_equal(a->name, b->name) && a->kind == b->kind && a->goes_on == b->goes_on &&
	       matches_equal(&a->match, &b->match) && options_equal(&a->options, &b->options);
}

void strategy_rule_describe(const struct strategy_rule *rule, char *buffer, size_t size)
{
	static const char *const choices[] = {"sample", "process", "interval", "trace"};
	const struct strategy_options *o = &rule->options;
	const char *name = strategy_name(o->kind), *then = rule->goes_on ? ", then the next" : "";
	const char *what = rule->kind == PROFILE_KIND_HEAP ? "new processes" : "samples";
	if (o->kind == STRATEGY_PROBABILISTIC)
		snprintf(buffer, size, "%s, %g %% by %s%s", name, 100 * o->ratio, choices[o->by], then);
	else if (o->kind == STRATEGY_RATE)
		snprintf(buffer, size, "%s, %g %s a second%s", name, o->samples, what, then);
	else if (o->kind == STRATEGY_ADAPTIVE)
		snprintf(buffer, size, "%s, %g %s a service and hour on %u hosts%s", name, o->samples, what,
			 MAX_OF(o->hosts, 1u), then);
	else
		snprintf(buffer, size, "%s%s", name, then);
}
