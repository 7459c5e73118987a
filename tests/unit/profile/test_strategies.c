/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule a process falls under: by each kind of pattern, the first that matches, looked at anew when told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "profile/strategies.h"

#include <errno.h>
#include <math.h>
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
	return strategies_offer(strategies, &sample, NULL, process, NULL) > 0;
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
				     .life = 1,
				     .executable_path = path,
				     .executable_name = "nginx",
				     .cgroup_path = service,
				     .declared = declared};
static const struct process in_container = {.number = 2,
					    .life = 2,
					    .executable_name = "app",
					    .cgroup_path = container,
					    .container_id = container + 8};
static const struct process unknown = {.number = 3, .life = 3, .executable_name = "kworker"};

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
	assert_true(strategies_offer(strategies, &growth, NULL, &changed, NULL) == 1);
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

/* Four rules in a chain, some of which a process does not match; 40 % of 500 samples a second at first, then 20 of
 * them a second. Over 20 runs the mean of the sums of weights is what was offered, within 3.89 standard errors. */
static void test_combined(void **state)
{
	enum { RUNS = 20, SECONDS = 20, A_SECOND = 500 };
	double sums[RUNS], mean = 0, squares = 0, true_sum = 10.0 * SECONDS * A_SECOND;
	for (int run = 0; run < RUNS; run++) {
		struct strategy_rule rules[] = {
			rule_named("first", STRATEGY_PROBABILISTIC), rule_named("other", STRATEGY_NEVER),
			rule_named("limit", STRATEGY_RATE), rule_named("behind the end", STRATEGY_NEVER)};
		rules[0].goes_on = true;
		rules[0].options.ratio = 0.4;
		rules[1].match.executable = strdup("somebody else");
		rules[2].options.samples = 20;
		struct strategies *strategies;
		struct strategy_report first, limit;
		assert_int_equal(strategies_new(rules, 4, (uint64_t)run * 77 + 5, 0, &strategies), 0);
		sums[run] = 0;
		for (unsigned i = 0; i < SECONDS * A_SECOND; i++) {
			struct record_sample sample = {.header.time = (1000 * A_SECOND + i) * (NS_PER_SECOND / A_SECOND),
						       .event = EVENT_CPU,
						       .weight = 10};
			sums[run] += 10 * strategies_offer(strategies, &sample, NULL, &nginx, NULL);
		}
		strategies_get(strategies, 0, &first);
		strategies_get(strategies, 2, &limit);
		assert_int_equal(first.statistics.offered, SECONDS * A_SECOND);
		assert_int_equal(limit.statistics.offered, first.statistics.taken);
		/* What it is offered weighs 10 / 0.4; what it counts is what comes out. */
		assert_int_equal(limit.statistics.offered_weight, 25 * first.statistics.taken);
		assert_true(fabs(limit.statistics.counted_weight - sums[run]) < 1e-6 * true_sum);
		assert_in_range(limit.statistics.taken, 15 * SECONDS, 30 * SECONDS);
		strategies_free(strategies);
		mean += sums[run] / RUNS;
	}
	for (int run = 0; run < RUNS; run++)
		squares += (sums[run] - mean) * (sums[run] - mean);
	assert_true(squares > 0);
	assert_true(fabs(mean - true_sum) <= 3.89 * sqrt(squares / (RUNS - 1) / RUNS));
}

static struct strategy_statistics statistics_of(const struct strategies *strategies, size_t index)
{
	struct strategy_report report;
	strategies_get(strategies, index, &report);
	return report.statistics;
}

/* A process is left out whole where all that its samples come to before decide about processes, too: what is counted
 * for that reason is what the rules would have been offered. */
static void test_left_out_whole(void **state)
{
	enum { ALL, HALF, RATE, NEVER, COUNT };
	struct strategy_rule rules[] = {rule_named("all", STRATEGY_ALWAYS), rule_named("half", STRATEGY_PROBABILISTIC),
					rule_named("rate", STRATEGY_RATE), rule_named("never", STRATEGY_NEVER)};
	for (size_t i = ALL; i < NEVER; i++)
		rules[i].goes_on = true;
	rules[HALF].options.by = STRATEGY_BY_PROCESS;
	rules[RATE].match.executable = strdup("app");
	struct strategies *strategies = strategies_of(rules, COUNT);
	struct record_sample sample = {.header.time = NS_PER_SECOND, .event = EVENT_CPU, .weight = 10};
	assert_true(strategies_leave_out(strategies));
	int refused = -1, passed = -1;
	for (uint64_t life = 1; life < 100; life++) {
		/* Half of them end at "half", those that go on at "never", or by chance. */
		struct process process = {.number = 100 + life, .life = life, .executable_name = "kworker"};
		int reason = strategies_reason(strategies, &sample, &process, NULL);
		assert_in_range(reason, 0, 1);
		struct process app = {.number = 1000 + life, .life = life, .executable_name = "app"};
		int of_app = strategies_reason(strategies, &sample, &app, NULL);
		strategies_reset(strategies, 0);
		assert_true(strategies_offer(strategies, &sample, NULL, &process, NULL) == 0);
		bool is_refused = statistics_of(strategies, HALF).taken == 0;
		assert_int_equal(of_app, is_refused ? reason : -1);
		int *known = is_refused ? &refused : &passed;
		assert_true(*known < 0 || *known == reason);
		*known = reason;
	}
	assert_int_equal(refused + passed, 1);
	strategies_reset(strategies, 0);
	strategies_count_left_out(strategies, refused, 5, 50);
	strategies_count_left_out(strategies, passed, 3, 30);
	strategies_count_left_out(strategies, 2, 7, 70); /* of strategies that were before */
	assert_int_equal(statistics_of(strategies, ALL).taken, 8);
	assert_true(statistics_of(strategies, ALL).counted_weight == 80);
	assert_int_equal(statistics_of(strategies, HALF).offered, 8);
	assert_int_equal(statistics_of(strategies, HALF).taken, 3);
	assert_true(statistics_of(strategies, HALF).counted_weight == 60);
	assert_int_equal(statistics_of(strategies, NEVER).offered, 3);
	assert_int_equal(statistics_of(strategies, NEVER).offered_weight, 60);
	assert_int_equal(statistics_of(strategies, NEVER).taken, 0);
	assert_int_equal(statistics_of(strategies, RATE).offered, 0);
	sample.event = EVENT_GROWTH;
	assert_int_equal(strategies_reason(strategies, &sample, &nginx, NULL), -1);
	strategies_free(strategies);
	struct strategy_rule none[] = {rule_named("all", STRATEGY_ALWAYS), rule_named("growth", STRATEGY_NEVER)};
	none[1].kind = PROFILE_KIND_GROWTH;
	strategies = strategies_of(none, 2);
	assert_false(strategies_leave_out(strategies) || strategies_leave_out(NULL));
	strategies_free(strategies);
}

/* Whose allocators are probed: each process is counted once, at the first rule of the heap that it falls under. */
static void test_heap(void **state)
{
	struct strategy_rule rules[] = {rule_named("cpu", STRATEGY_NEVER), rule_named("left", STRATEGY_NEVER),
					rule_named("others", STRATEGY_ALWAYS)};
	rules[1].kind = rules[2].kind = PROFILE_KIND_HEAP;
	rules[1].match.unit = strdup("nginx.service");
	struct strategies *strategies = strategies_of(rules, 3);
	struct record_sample place = {.header.time = NS_PER_SECOND, .event = EVENT_ALLOCATION};
	for (int i = 0; i < 3; i++) {
		assert_true(strategies_offer_heap(strategies, &nginx, NULL, NS_PER_SECOND) == 0);
		assert_true(strategies_offer_heap(strategies, &unknown, NULL, NS_PER_SECOND) == 1);
		assert_true(strategies_offer_heap(strategies, &in_container, NULL, NS_PER_SECOND) == 1);
		/* A place of one that was chosen is no sample. */
		assert_true(strategies_offer(strategies, &place, NULL, &nginx, NULL) == 1);
	}
	assert_int_equal(statistics_of(strategies, 0).offered, 0);
	assert_int_equal(statistics_of(strategies, 1).offered, 1);
	assert_int_equal(statistics_of(strategies, 1).taken, 0);
	assert_int_equal(statistics_of(strategies, 2).offered, 2);
	assert_int_equal(statistics_of(strategies, 2).taken, 2);
	strategies_free(strategies);
}

/* What comes in the `second`th second: three services, some processes in it, none in most. */
static unsigned arrivals(unsigned second)
{
	return second % 7 == 0 ? 12 : second % 3 == 0;
}

struct heap_run {
	double sum, true_sum, factors;
	unsigned processes, taken;
};

/* Processes that come, stay to the end, and are asked for each second, among some that are matched anew each time; each
 * has a heap of its own size. */
static struct heap_run run_heap(struct strategies *strategies)
{
	enum { SECONDS = 60, MOST = 400 };
	static const char *const names[] = {"one", "two", "three"};
	static struct process processes[MOST];
	double factors[MOST];
	struct heap_run run = {0};
	for (unsigned second = 1; second <= SECONDS; second++) {
		unsigned before = run.processes;
		run.processes += arrivals(second);
		for (unsigned i = 0; i < run.processes; i++) {
			if (i >= before)
				processes[i] = (struct process){.number = 2 * i + 1, .life = i + 1,
								.executable_name = names[i % 3]};
			processes[i].number += second % 20 == 0; /* another program */
			double factor = strategies_offer_heap(strategies, &processes[i], NULL, second * NS_PER_SECOND);
			if (i >= before)
				factors[i] = factor;
			assert_true(factor == factors[i]);
			assert_true(factor == 0 || strategies_heap_factor(strategies, &processes[i]) == factor);
		}
		strategies_forget_processes(strategies);
	}
	for (unsigned i = 0; i < run.processes; i++) {
		double size = 1000 * (1 + i % 11);
		run.sum += factors[i] * size;
		run.true_sum += size;
		run.factors += factors[i];
		run.taken += factors[i] > 0;
	}
	return run;
}

/* Over 400 runs the mean of the sums is what all hold, within 3.89 standard errors; a decision is for the life of a
 * process, and counted once. */
static void assert_heap_unbiased(const struct strategy_rule *rules, size_t count)
{
	enum { RUNS = 400 };
	double sums[RUNS], mean = 0, squares = 0, true_sum = 0;
	for (unsigned i = 0; i < RUNS; i++) {
		struct strategy_rule copies[2];
		struct strategies *strategies;
		for (size_t k = 0; k < count; k++) {
			copies[k] = rules[k];
			copies[k].name = strdup("rule");
			copies[k].kind = PROFILE_KIND_HEAP;
		}
		assert_int_equal(strategies_new(copies, count, i, 0, &strategies), 0);
		struct heap_run run = run_heap(strategies);
		struct strategy_statistics first = statistics_of(strategies, 0), last = statistics_of(strategies, count - 1);
		assert_int_equal(first.offered, run.processes);
		assert_int_equal(first.offered_weight, run.processes);
		assert_int_equal(last.taken, run.taken);
		if (count == 1)
			assert_true(fabs(last.counted_weight - run.factors) < 1e-6);
		else
			assert_int_equal(first.taken, last.offered);
		assert_true(run.taken > 0 && run.taken < run.processes);
		sums[i] = run.sum;
		mean += run.sum / RUNS;
		true_sum = run.true_sum;
		strategies_free(strategies);
	}
	for (unsigned i = 0; i < RUNS; i++)
		squares += (sums[i] - mean) * (sums[i] - mean);
	double error = sqrt(squares / (RUNS - 1) / RUNS);
	if (fabs(mean - true_sum) > 3.89 * error)
		fail_msg("%s: mean %g, true %g, standard error %g", strategy_name(rules[0].options.kind), mean, true_sum,
			 error);
}

static void test_heap_by_chance(void **state)
{
	const struct strategy_rule process = {.options = {.kind = STRATEGY_PROBABILISTIC, .by = STRATEGY_BY_PROCESS,
							  .ratio = 0.3}};
	const struct strategy_rule interval = {.options = {.kind = STRATEGY_PROBABILISTIC, .by = STRATEGY_BY_INTERVAL,
							   .ratio = 0.3, .interval_ns = 3 * NS_PER_SECOND}};
	const struct strategy_rule rate = {.options = {.kind = STRATEGY_RATE, .samples = 2}};
	const struct strategy_rule adaptive = {.options = {.kind = STRATEGY_ADAPTIVE, .samples = 600}};
	struct strategy_rule both[] = {process, rate};
	both[0].goes_on = true;
	assert_heap_unbiased(&process, 1);
	assert_heap_unbiased(&interval, 1);
	assert_heap_unbiased(&rate, 1);
	assert_heap_unbiased(&adaptive, 1);
	assert_heap_unbiased(both, 2);
}

/* Other strategies, by which a process is not judged yet, let it weigh what it did; one that was never met is itself. */
static void test_heap_factors_are_kept(void **state)
{
	struct strategy_rule half = rule_named("half", STRATEGY_PROBABILISTIC), all = rule_named("all", STRATEGY_ALWAYS);
	half.kind = all.kind = PROFILE_KIND_HEAP;
	half.options.by = STRATEGY_BY_PROCESS;
	struct process process = {.number = 1, .life = 1, .executable_name = "x"};
	struct strategies *before = strategies_of(&half, 1), *after;
	assert_int_equal(strategies_new(&all, 1, 2, 1000, &after), 0);
	while (strategies_offer_heap(before, &process, NULL, NS_PER_SECOND) == 0)
		process.number = ++process.life;
	strategies_go_on(after, NULL);
	assert_true(strategies_heap_factor(after, &process) == 1);
	strategies_go_on(after, before);
	strategies_free(before);
	assert_true(strategies_heap_factor(after, &process) == 2);
	assert_true(strategies_offer_heap(after, &process, NULL, NS_PER_SECOND) == 1);
	assert_true(strategies_heap_factor(after, &process) == 1);
	strategies_free(after);
}

static struct strategy_rule rule_of_heap(const char *name, enum strategy_kind kind, const char *unit)
{
	struct strategy_rule rule = rule_named(name, kind);
	rule.kind = PROFILE_KIND_HEAP;
	rule.options.samples = kind == STRATEGY_RATE ? 3 : 0;
	rule.options.by = kind == STRATEGY_PROBABILISTIC ? STRATEGY_BY_PROCESS : STRATEGY_BY_SAMPLE;
	rule.match.unit = unit ? strdup(unit) : NULL;
	return rule;
}

enum { ASKED = 40 };

/* What processes stand for; the first half is of a unit. */
static void ask_of_heaps(struct strategies *strategies, double factors[ASKED])
{
	for (unsigned i = 0; i < ASKED; i++) {
		struct process process = {.number = i + 1, .life = i + 1, .executable_name = "x"};
		process.cgroup_path = i < ASKED / 2 ? service : NULL;
		factors[i] = strategies_offer_heap(strategies, &process, NULL, NS_PER_SECOND);
	}
}

/* A reload: the rule that did not change has decided already, wherever it stands now and whatever its seed would be; the
 * one that did decides anew. */
static void test_rules_go_on(void **state)
{
	struct strategy_rule old_rules[] = {rule_of_heap("some", STRATEGY_PROBABILISTIC, "nginx.service"),
					    rule_of_heap("limit", STRATEGY_RATE, NULL)};
	struct strategy_rule new_rules[] = {rule_named("cpu", STRATEGY_ALWAYS),
					    rule_of_heap("some", STRATEGY_PROBABILISTIC, "nginx.service"),
					    rule_of_heap("limit", STRATEGY_RATE, NULL)};
	struct strategies *before = strategies_of(old_rules, 2), *after;
	double factors[ASKED], again[ASKED];
	ask_of_heaps(before, factors);
	struct strategy_statistics some = statistics_of(before, 0);
	assert_true(some.taken > 0 && some.taken < some.offered);
	new_rules[2].options.samples = 1000;
	assert_int_equal(strategies_new(new_rules, 3, 77, 5000, &after), 0);
	strategies_go_on(after, before);
	strategies_free(before);
	ask_of_heaps(after, again);
	assert_memory_equal(factors, again, sizeof(factors) / 2);
	for (unsigned i = ASKED / 2; i < ASKED; i++)
		assert_true(again[i] == 1);
	assert_int_equal(statistics_of(after, 1).offered, some.offered);
	assert_int_equal(statistics_of(after, 1).taken, some.taken);
	assert_int_equal(statistics_of(after, 2).offered, ASKED / 2);
	struct strategy_report report;
	strategies_get(after, 1, &report);
	assert_int_equal(report.since_ns, 1000);
	strategies_get(after, 2, &report);
	assert_int_equal(report.since_ns, 5000);
	strategies_free(after);
}

static void test_rules_are_equal(void **state)
{
	static char name[] = "other", pattern[] = "n*";
	struct strategy_rule rule = rule_of_heap("some", STRATEGY_PROBABILISTIC, "nginx.service"), same = rule, others[9];
	struct strategy_attribute attribute = {name, pattern};
	same.options.seed = same.options.interval_ns = 9;
	assert_true(strategy_rules_equal(&rule, &same));
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
		others[i] = rule;
	others[0].name = name;
	others[1].kind = PROFILE_KIND_CPU;
	others[2].goes_on = true;
	others[3].match.unit = pattern;
	others[4].match.unit = NULL;
	others[5].match.cgroup = pattern;
	others[6].options.ratio = 0.1;
	others[7].options.by = STRATEGY_BY_INTERVAL;
	others[8].match.attributes.items = &attribute;
	others[8].match.attributes.count = 1;
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
		assert_false(strategy_rules_equal(&rule, &others[i]));
	strategy_rule_free(&rule);
}

static void test_too_many(void **state)
{
	struct strategy_rule rules[STRATEGIES_MAX + 1] = {{0}};
	struct strategies *strategies;
	assert_int_equal(strategies_new(rules, STRATEGIES_MAX + 1, 1, 0, &strategies), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_combined),
		cmocka_unit_test(test_left_out_whole),
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_heap_by_chance),
		cmocka_unit_test(test_heap_factors_are_kept),
		cmocka_unit_test(test_rules_go_on),
		cmocka_unit_test(test_rules_are_equal),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
