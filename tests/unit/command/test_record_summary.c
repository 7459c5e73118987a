/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "command/record_summary.h"
#include "command/terminal.h"

#include <string.h>

static void counts_and_shares(void **state)
{
	char buffer[32];
	assert_string_equal(text_count(buffer, sizeof(buffer), 0), "0");
	assert_string_equal(text_count(buffer, sizeof(buffer), 999), "999");
	assert_string_equal(text_count(buffer, sizeof(buffer), 1000), "1,000");
	assert_string_equal(text_count(buffer, sizeof(buffer), UINT64_MAX),
			    "18,446,744,073,709,551,615");
	assert_string_equal(text_share(buffer, sizeof(buffer), 0, 100), "0 %");
	assert_string_equal(text_share(buffer, sizeof(buffer), 5, 0), "0 %");
	assert_string_equal(text_share(buffer, sizeof(buffer), 1, 800), "0.12 %");
	assert_string_equal(text_share(buffer, sizeof(buffer), 1, 3), "33.3 %");
}

/* A leaf function with `samples` samples of one nanosecond each. */
static void add_function(struct profile *profile, const char *name, int64_t samples)
{
	bool failed = false;
	struct profile_function function = {.name = profile_string(profile, name, &failed)};
	struct profile_line line = {.function = (uint32_t)profile->functions.count};
	struct profile_location location = {.mapping = PROFILE_NONE, .line_count = 1,
					    .first_line = (uint32_t)profile->lines.count};
	struct profile_sample sample = {.location_count = 1,
					.first_location = (uint32_t)profile->stack_locations.count};
	uint32_t index = (uint32_t)profile->locations.count;
	assert_int_equal(array_add(&profile->functions, function), 0);
	assert_int_equal(array_add(&profile->lines, line), 0);
	assert_int_equal(array_add(&profile->locations, location), 0);
	assert_int_equal(array_add(&profile->stack_locations, index), 0);
	assert_int_equal(array_add(&profile->samples, sample), 0);
	assert_int_equal(array_add(&profile->values, samples), 0);
	assert_false(failed);
}

static struct profile *some_profile(void)
{
	struct profile *profile = NULL;
	bool failed = false;
	assert_int_equal(profile_new(&profile), 0);
	struct profile_value_type cpu = {profile_string(profile, "cpu", &failed),
					 profile_string(profile, "nanoseconds", &failed)};
	assert_int_equal(array_add(&profile->sample_types, cpu), 0);
	add_function(profile, "second", 30);
	add_function(profile, "sixth", 1);
	add_function(profile, "first", 25);
	add_function(profile, "fifth", 2);
	add_function(profile, "third", 20);
	add_function(profile, "fourth", 7);
	add_function(profile, "first", 15);
	/* Called from another one, whose own time that is not. */
	assert_int_equal(array_add(&profile->stack_locations, 1), 0);
	profile->samples.items[profile->samples.count - 1].location_count = 2;
	return profile;
}

static void write_summary(const struct recording_statistics *s, struct profile *profile, struct text *out)
{
	struct profile *profiles[PROFILE_KIND_COUNT] = {[PROFILE_KIND_CPU] = profile};
	summary_write(s, profiles, 99, false, out);
}

static void summary_says_everything(void **state)
{
	_cleanup_profile_ struct profile *profile = some_profile();
	struct recording_statistics s = {
		.samples = 1000, .captured_ns = 10 * NS_PER_SECOND, .processes = 3,
		.elapsed_ns = 5 * NS_PER_SECOND, .own_cpu_ns = 50 * NS_PER_MS,
		.memory_bytes = 20 << 20, .frames = 100, .frames_unnamed = 1,
	};
	s.counters[COUNTER_LOST_RING_FULL] = 10;
	s.ends[STACK_END_COMPLETE] = 980;
	s.ends[STACK_END_TABLES_NOT_READY] = 15;
	s.ends[STACK_END_DEPTH_LIMIT] = 5;
	s.frames_of_type[FRAME_TYPE_JIT] = (struct frame_count){.frames = 90, .unnamed = 4}; /* too few to be told */
	struct text out = {0};
	write_summary(&s, profile, &out);
	assert_string_equal(
		out.bytes,
		"1,000 samples  10.00 s of CPU time in 3 processes, 5.00 s at 99 Hz\n"
		"lost       0.99 %  10 ring buffer full\n"
		"truncated  2.0 %  1.5 % tables not ready, 0.50 % deeper than max-frames\n"
		"unnamed    1.0 % of the frames have no function name\n"
		"own cost   50.0 ms CPU (1.0 % of one CPU), 20.0 MiB of memory\n"
		"top          40.0 %  first\n"
		"             30.0 %  second\n"
		"             20.0 %  third\n"
		"              7.0 %  fourth\n"
		"              2.0 %  fifth\n");
	text_free(&out);
}

/* In a container whose pid namespace is its own; in one that has only its own processes on the CPUs nothing is wrong. */
static void processes_outside_a_container_are_told(void **state)
{
	static const struct {
		bool in_namespace;
		uint64_t unnamed, cut;
		bool told;
	} cases[] = {{true, 3, 90, true}, {true, 3, 5, true}, {true, 3, 4, false}, {true, 0, 90, false}, {false, 3, 90, false}};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		_cleanup_profile_ struct profile *profile = some_profile();
		struct recording_statistics s = {.in_pid_namespace = cases[i].in_namespace,
						 .losses = {.processes_unnamed = cases[i].unnamed}};
		s.ends[STACK_END_COMPLETE] = 100 - cases[i].cut;
		s.ends[STACK_END_TABLES_NOT_READY] = cases[i].cut;
		struct text out = {0};
		write_summary(&s, profile, &out);
		assert_int_equal(strstr(out.bytes, "--pid=host") != NULL, cases[i].told);
		text_free(&out);
	}
}

static void names_cannot_steer_a_terminal(void **state)
{
	_cleanup_profile_ struct profile *profile = some_profile();
	struct recording_statistics s = {.samples = 1, .elapsed_ns = NS_PER_SECOND};
	add_function(profile, "\033]0;title\007r\xc3\xa9sum\xc3\xa9", 900);
	struct text out = {0};
	write_summary(&s, profile, &out);
	assert_non_null(strstr(out.bytes, "\ntop          90.0 %  ?]0;title?r\xc3\xa9sum\xc3\xa9\n"));
	text_free(&out);
}

static void nothing_lost_is_said(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile), 0);
	struct recording_statistics s = {.elapsed_ns = NS_PER_SECOND};
	struct text out = {0};
	write_summary(&s, profile, &out);
	assert_non_null(strstr(out.bytes, "\nlost       0 %\ntruncated  0 %\n"));
	text_free(&out);
}

static void nothing_sampled_is_explained(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile), 0);
	struct recording_statistics s = {.elapsed_ns = NS_PER_SECOND};
	s.counters[COUNTER_IDLE] = 150;
	s.counters[COUNTER_UNSELECTED] = 48;
	struct text out = {0};
	write_summary(&s, profile, &out);
	assert_non_null(strstr(out.bytes,
			       "\nnothing    150 ticks met an idle CPU, 48 something that was not asked for\n"));
	assert_null(strstr(out.bytes, "short"));
	text_free(&out);

	/* A command of a moment; and ours, which began before it. */
	s.elapsed_ns = 10 * NS_PER_MS;
	s.phases.load_ns = 190 * NS_PER_MS;
	s.own_cpu_ns = 50 * NS_PER_MS;
	struct text brief = {0};
	write_summary(&s, profile, &brief);
	assert_non_null(strstr(brief.bytes,
			       "\n           10.0 ms are short for 99 Hz: a higher --frequency, up to 10000, sees more\n"));
	assert_non_null(strstr(brief.bytes, "\nown cost   50.0 ms CPU (25.0 % of one CPU)"));
	text_free(&brief);

	s.frames = 100;
	s.frames_unnamed = 60;
	s.memory_bytes = 5 << 20;
	s.memory_budget.limit = 16 << 20; /* over before it was looked at */
	s.frames_of_type[FRAME_TYPE_JIT] = (struct frame_count){.frames = 50, .unnamed = 40};
	struct text jit = {0};
	write_summary(&s, profile, &jit);
	assert_non_null(strstr(jit.bytes, "\nunnamed    60.0 % of the frames have no function name\n           40.0 % are JIT code; "));
	assert_non_null(strstr(jit.bytes, "\nbudget     16.0 MiB of memory, 5.0 MiB at most\n"));
	text_free(&jit);
	s.memory_bytes = 17 << 20;
	write_summary(&s, profile, &jit);
	assert_non_null(strstr(jit.bytes, ", 17.0 MiB at most; it was not kept all the time\n"));
	text_free(&jit);

	s = (struct recording_statistics){.elapsed_ns = NS_PER_SECOND};
	struct text line = {0};
	s.samples = 4321;
	summary_progress(&s, &line);
	assert_string_equal(line.bytes, "1 s  4,321 samples  0 lost  0 processes  own CPU 0 %");
	text_free(&line);
}

/* A heap profile with nothing in it: were there no calls, or too few for a sample? */
static void heap_without_samples_is_explained(void **state)
{
	(void)state;
	_cleanup_profile_ struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile), 0);
	struct profile *profiles[PROFILE_KIND_COUNT] = {[PROFILE_KIND_HEAP] = profile};
	struct recording_statistics s = {.elapsed_ns = NS_PER_SECOND};
	struct text none = {0}, few = {0};
	summary_write(&s, profiles, 99, false, &none);
	assert_non_null(strstr(none.bytes, "\n           no call of an allocator was seen: "));
	s.counters[COUNTER_HEAP_ALLOCATIONS] = 1295;
	s.counters[COUNTER_HEAP_BYTES] = 56 << 10;
	summary_write(&s, profiles, 99, false, &few);
	assert_non_null(strstr(few.bytes, "\n           1,295 calls were seen, of 56.0 KiB, too few for a sample: "));
	assert_null(strstr(few.bytes, "no call"));
	text_free(&none);
	text_free(&few);
}

static void assert_budget(const struct recording_statistics *s, const char *expected)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct text out = {0};
	assert_int_equal(profile_new(&profile), 0);
	write_summary(s, profile, &out);
	const char *line = strstr(out.bytes, "\nbudget     ");
	assert_non_null(line);
	assert_string_equal(strndupa(line + 12, strcspn(line + 12, "\n")), expected);
	text_free(&out);
}

/* Of a few seconds the start is most of the cost. */
static void budget_that_was_not_kept_is_said(void **state)
{
	struct recording_statistics s = {
		.elapsed_ns = 2 * NS_PER_SECOND,
		.budget = {.share = 0.005, .window_cost = 0.031, .dearest_cost = 0.031, .chance = 1,
			   .setting = {.frequency = 125}},
	};
	assert_budget(&s, "0.50 % of all CPUs was not kept: 2.00 s cost 3.10 % (interrupts included), at the end at 125 Hz; "
			  "what the start takes needs a minute to be paid off");
	s.budget.window_cost = s.budget.dearest_cost = 0.0042;
	assert_budget(&s, "0.50 % of all CPUs: 2.00 s cost 0.42 % (interrupts included), at the end at 125 Hz");
	s.elapsed_ns = 90 * NS_PER_SECOND;
	s.budget.is_minute = true;
	assert_budget(&s, "0.50 % of all CPUs: the dearest minute cost 0.42 % (interrupts included), at the end at 125 Hz");
	s.budget.dearest_cost = 0.0061;
	assert_budget(&s, "0.50 % of all CPUs was not kept: the dearest minute cost 0.61 % (interrupts included), at the end "
			  "at 125 Hz");
	s.budget.infeasible = true;
	s.budget.chance = 0.5;
	assert_budget(&s, "0.50 % of all CPUs was not kept: the dearest minute cost 0.61 % (interrupts included), at the end "
			  "at 125 Hz 50 % of the time; less cannot be had: allow more, or select less");
}

/* The summary of a profile in which a leaf of `file` has no name. */
static void write_unnamed(const char *file, const char *htlhash, uint64_t unopened, struct text *out)
{
	_cleanup_profile_ struct profile *profile = some_profile();
	struct recording_statistics s = {.frames = 8, .frames_unnamed = 1, .losses = {.binaries_unopened = unopened}};
	bool failed = false;
	struct profile_mapping mapping = {.file = profile_string(profile, file, &failed),
					  .htlhash = profile_string(profile, htlhash, &failed)};
	s.frames_of_type[FRAME_TYPE_NATIVE] = (struct frame_count){.frames = 8, .unnamed = 1};
	assert_int_equal(array_add(&profile->mappings, mapping), 0);
	profile->locations.items[0].mapping = 0;
	profile->locations.items[0].line_count = 0;
	write_summary(&s, profile, out);
	assert_false(failed);
}

/* No debug symbols help there. */
static void files_that_were_not_opened_are_told_apart(void **state)
{
	static const struct {
		const char *file, *htlhash;
		uint64_t unopened;
		const char *said;
	} cases[] = {
		{"/bin/server", "1f2e", 0, " in server: its debug symbols have the names"},
		{"/bin/server", "", 0, " in server: its debug symbols have the names"},
		{"/bin/server", "1f2e", 1, " in server: its debug symbols have the names"},
		{"/bin/server", "", 1, " in files that could not be opened: "},
		{"[unknown file]", "", 0, " in files that could not be opened: "},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct text out = {0};
		write_unnamed(cases[i].file, cases[i].htlhash, cases[i].unopened, &out);
		assert_non_null(strstr(out.bytes, cases[i].said));
		assert_true(!strstr(out.bytes, "debug symbols") == !strstr(cases[i].said, "debug symbols"));
		text_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_and_shares),
		cmocka_unit_test(summary_says_everything),
		cmocka_unit_test(budget_that_was_not_kept_is_said),
		cmocka_unit_test(processes_outside_a_container_are_told),
		cmocka_unit_test(names_cannot_steer_a_terminal),
		cmocka_unit_test(nothing_lost_is_said),
		cmocka_unit_test(nothing_sampled_is_explained),
		cmocka_unit_test(files_that_were_not_opened_are_told_apart),
		cmocka_unit_test(heap_without_samples_is_explained),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
