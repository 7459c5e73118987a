/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule a process falls under: by each kind of pattern, the first that matches, looked at anew when told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "profile/strategies.h"

#include <stdlib.h>
#include <string.h>

static struct strategy_rule rule_named(const char *name, enum strategy_kind kind)
{
	return (struct strategy_rule){.name = strdup(name),
				      .kind = PROFILE_KIND_CPU,
				      .options = {.kind = kind, .ratio = 0.5, .samples = 1}};
}

static struct strategies *strategies_of(struct strategy_rule *rules, size_t count)
{
	struct strategies *strategies;
	assert_int_equal(strategies_new(rules, count, 1, 1000, &strategies), 0);
	return strategies;
}

static bool is_taken(struct strategies *strategies, const struct process *process)
{
	struct record_sample sample = {.header.time = NS_PER_SECOND, .event = EVENT_CPU, .weight = 10};
	return strategies_offer(strategies, &sample, process, NULL) > 0;
}

/* Is a process that matches left out by a rule "never" with this one pattern? */
static void assert_matches(struct strategy_match match, const struct process *process, bool expected)
{
	struct strategy_rule rule = rule_named("x", STRATEGY_NEVER);
	rule.match = match;
	struct strategies *strategies = strategies_of(&rule, 1);
	assert_int_equal(is_taken(strategies, process), !expected);
	strategies_free(strategies);
}

static char service[] = "/system.slice/nginx.service";
static char container[] =
	"/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static char path[] = "/usr/sbin/nginx";
static char declared[] = "team\0shop\0\0";

static const struct process nginx = {.number = 1,
				     .executable_path = path,
				     .executable_name = "nginx",
				     .cgroup_path = service,
				     .declared = declared};
static const struct process in_container = {.number = 2,
					    .executable_name = "app",
					    .cgroup_path = container,
					    .container_id = container + 8};
static const struct process unknown = {.number = 3, .executable_name = "kworker"};

static void test_patterns(void **state)
{
#define MATCH(field, pattern) ((struct strategy_match){.field = strdup(pattern)})
	assert_matches((struct strategy_match){0}, &unknown, true);
	assert_matches(MATCH(executable, "nginx"), &nginx, true);
	assert_matches(MATCH(executable, "/usr/*/nginx"), &nginx, true);
	assert_matches(MATCH(executable, "ngin"), &nginx, false);
	assert_matches(MATCH(cgroup, "/system.slice/*"), &nginx, true);
	assert_matches(MATCH(cgroup, "/system.slice/*"), &in_container, false);
	assert_matches(MATCH(cgroup, "*"), &unknown, false);
	assert_matches(MATCH(unit, "nginx.service"), &nginx, true);
	assert_matches(MATCH(unit, "*"), &in_container, false);
	assert_matches(MATCH(container, "0123*"), &in_container, true);
	assert_matches(MATCH(container, "*"), &nginx, false);
#undef MATCH
}

static struct strategy_match attribute(const char *key, const char *pattern)
{
	struct strategy_match match = {0};
	struct strategy_attribute one = {strdup(key), strdup(pattern)};
	assert_int_equal(array_add(&match.attributes, one), 0);
	return match;
}

static void test_attributes(void **state)
{
	struct strategy_match two = attribute("team", "s*");
	struct strategy_attribute missing = {strdup("k8s.pod.name"), strdup("*")};
	assert_int_equal(array_add(&two.attributes, missing), 0);
	assert_matches(attribute("team", "s*"), &nginx, true);
	assert_matches(attribute("team", "x"), &nginx, false);
	assert_matches(attribute("service.name", "nginx"), &nginx, true);
	assert_matches(two, &nginx, false);
}

/* The first that matches decides; other events are taken as they are; what changed is seen when told. */
static void test_order(void **state)
{
	struct strategy_rule rules[] = {rule_named("one", STRATEGY_ALWAYS), rule_named("two", STRATEGY_NEVER)};
	rules[0].match.executable = strdup("nginx");
	struct strategies *strategies = strategies_of(rules, 2);
	struct strategy_report report;
	struct process changed = unknown;
	struct record_sample growth = {.header.time = NS_PER_SECOND, .event = EVENT_GROWTH, .weight = 10};
	assert_true(is_taken(strategies, &nginx));
	assert_false(is_taken(strategies, &changed));
	assert_true(strategies_offer(strategies, &growth, &changed, NULL) == 1);
	changed.executable_name = "nginx";
	assert_false(is_taken(strategies, &changed));
	strategies_forget_processes(strategies);
	assert_true(is_taken(strategies, &changed));
	strategies_get(strategies, 1, &report);
	assert_string_equal(report.rule->name, "two");
	assert_int_equal(report.statistics.offered, 2);
	assert_int_equal(report.statistics.taken, 0);
	assert_int_equal(report.since_ns, 1000);
	strategies_reset(strategies, 2000);
	strategies_get(strategies, 1, &report);
	assert_int_equal(report.statistics.offered, 0);
	assert_int_equal(report.since_ns, 2000);
	strategies_free(strategies);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
