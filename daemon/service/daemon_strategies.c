/* SPDX-License-Identifier: Apache-2.0 */
/* Owns how the strategies of a configuration become those of a recording. */
#include "service/daemon_state.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static int copy_text(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static int copy_attributes(const struct sink_pairs *pairs, struct strategy_match *match)
{
	int r = 0;
	for (size_t i = 0; i < pairs->count && r == 0; i++) {
		r = array_add(&match->attributes, (struct strategy_attribute){0});
		if (r < 0)
			return r;
		struct strategy_attribute *attribute = &match->attributes.items[i];
		r = copy_text(pairs->items[i].name, &attribute->key);
		if (r == 0)
			r = copy_text(pairs->items[i].value, &attribute->pattern);
	}
	return r;
}

static enum profile_kind kind_of(enum strategy_event event)
{
	static const enum profile_kind kinds[] = {[STRATEGY_OF_CPU] = PROFILE_KIND_CPU,
						  [STRATEGY_OF_GROWTH] = PROFILE_KIND_GROWTH,
						  [STRATEGY_OF_HEAP] = PROFILE_KIND_HEAP};
	return kinds[event];
}

static int make_rule(const struct strategy_configuration *c, struct strategy_rule *ret)
{
	*ret = (struct strategy_rule){
		.kind = kind_of(c->event),
		.goes_on = c->then_next,
		.options = {.kind = c->strategy,
			    .by = c->by,
			    .ratio = (double)c->ratio_ppm / 1e6,
			    .interval_ns = c->interval_ns,
			    .samples = (double)c->samples,
			    .hosts = (uint32_t)c->expected_hosts},
	};
	if (copy_text(c->name, &ret->name) < 0 || copy_text(c->executable, &ret->match.executable) < 0 ||
	    copy_text(c->cgroup, &ret->match.cgroup) < 0 || copy_text(c->unit, &ret->match.unit) < 0 ||
	    copy_text(c->container, &ret->match.container) < 0)
		return -ENOMEM;
	return copy_attributes(&c->attributes, &ret->match);
}

int daemon_strategies(const struct configuration *c, struct strategies **ret)
{
	size_t count = c->strategies.count;
	uint64_t seed;
	*ret = NULL;
	if (!count)
		return 0;
	_cleanup_free_ struct strategy_rule *rules = calloc(count, sizeof(*rules));
	int r = rules ? 0 : -ENOMEM;
	/* Hosts that share a number must not roll the same: no clock, which many could read at once. */
	if (r == 0 && getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		r = -errno;
	for (size_t i = 0; i < count && r == 0; i++)
		r = make_rule(&c->strategies.items[i], &rules[i]);
	if (r == 0)
		r = strategies_new(rules, count, seed, realtime_ns(), ret);
	for (size_t i = 0; rules && i < count; i++)
		strategy_rule_free(&rules[i]);
	return r;
}
