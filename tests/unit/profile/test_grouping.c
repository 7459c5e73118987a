/* SPDX-License-Identifier: Apache-2.0 */
/* Whose frames stand at the root after grouping, and what is a function when lines are taken apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "profile/filter.h"
#include "profile/grouping.h"
#include "tests/unit/profile/stacks.h"

#include <errno.h>

static const struct test_stack stacks[] = {{"main;work", 3}, {"main;idle", 4}, {"main;work", 5}};

static void add_labels(struct profile *profile, size_t sample, const char *name, int64_t pid)
{
	bool failed = false;
	profile->samples.items[sample].first_label = (uint32_t)profile->labels.count;
	profile->samples.items[sample].label_count = 2;
	array_add(&profile->labels, (struct profile_label){
		.key = profile_string(profile, "process.executable.name", &failed),
		.text = profile_string(profile, name, &failed)});
	array_add(&profile->labels, (struct profile_label){
		.key = profile_string(profile, "process.pid", &failed), .number = pid});
	assert_false(failed);
}

/* The name of a sample's frame, counted from the root. */
static const char *frame(const struct profile *profile, size_t sample, uint32_t from_root)
{
	static char buffer[256];
	const struct profile_sample *s = &profile->samples.items[sample];
	uint32_t at = s->first_location + s->location_count - 1 - from_root;
	return profile_frame_name(profile,
				  &profile->locations.items[profile->stack_locations.items[at]], 0,
				  buffer, sizeof(buffer));
}

static void processes_stand_at_the_root(void **state)
{
	_cleanup_profile_ struct profile *profile = test_profile(stacks, 3);
	add_labels(profile, 0, "server", 7);
	add_labels(profile, 1, "server", 8);
	size_t locations = profile->locations.count;
	assert_int_equal(profile_group_by(profile, "process"), 0);
	assert_int_equal(profile_check(profile), 0);
	assert_string_equal(frame(profile, 0, 0), "server (7)");
	assert_string_equal(frame(profile, 0, 1), "main");
	assert_string_equal(frame(profile, 0, 2), "work");
	assert_string_equal(frame(profile, 1, 0), "server (8)");
	assert_string_equal(frame(profile, 2, 0), "[no process.executable.name]");
	assert_int_equal(profile->samples.items[2].location_count, 3);
	assert_int_equal(profile->locations.count, locations + 3);
}

static void words_nest_and_equal_names_are_one_frame(void **state)
{
	_cleanup_profile_ struct profile *profile = test_profile(stacks, 3);
	for (size_t i = 0; i < 3; i++)
		add_labels(profile, i, "server", 7);
	size_t locations = profile->locations.count;
	assert_int_equal(profile_group_by(profile, "executable,process.pid"), 0);
	assert_int_equal(profile_check(profile), 0);
	assert_string_equal(frame(profile, 1, 0), "server");
	assert_string_equal(frame(profile, 1, 1), "7");
	assert_string_equal(frame(profile, 1, 2), "main");
	assert_int_equal(profile->locations.count, locations + 2);
}

static void binaries_are_those_whose_code_ran(void **state)
{
	_cleanup_profile_ struct profile *profile = test_profile(stacks, 3);
	bool failed = false;
	for (size_t i = 0; i < 3; i++)
		add_labels(profile, i, "server", 7);
	array_add(&profile->mappings,
		  (struct profile_mapping){.file = profile_string(profile, "/usr/lib/libwork.so.1", &failed)});
	array_add(&profile->mappings, (struct profile_mapping){.file = profile_string(profile, "/bin/server", &failed)});
	for (size_t i = 0; i < profile->samples.count; i++) {
		uint32_t leaf = profile->samples.items[i].first_location;
		profile->locations.items[profile->stack_locations.items[leaf]].mapping = i == 1 ? PROFILE_NONE : 0;
		profile->locations.items[profile->stack_locations.items[leaf + 1]].mapping = 1; /* main */
	}
	assert_int_equal(profile_group_by(profile, "process,binary"), 0);
	assert_int_equal(profile_check(profile), 0);
	assert_int_equal(profile->group_levels, 2);
	assert_string_equal(frame(profile, 0, 0), "server (7)");
	assert_string_equal(frame(profile, 0, 1), "libwork.so.1");
	assert_string_equal(frame(profile, 0, 2), "main");
	assert_string_equal(frame(profile, 1, 1), "[no binary]");
	assert_string_equal(frame(profile, 2, 1), "libwork.so.1");
}

static void slips_are_told_from_labels_that_are_not_there(void **state)
{
	_cleanup_profile_ struct profile *profile = test_profile(stacks, 3);
	struct text error = {0};
	assert_int_equal(profile_check_grouping(profile, "process,container", &error), 0);
	assert_int_equal(profile_check_grouping(profile, "tenant", &error), -EINVAL);
	assert_string_equal(error.bytes, "there is no label 'tenant'; the profile has none");
	text_free(&error);
	add_labels(profile, 1, "server", 8);
	assert_int_equal(profile_check_grouping(profile, "process.pid", &error), 0);
	assert_int_equal(profile_check_grouping(profile, "process,procces.pid", &error), -EINVAL);
	assert_string_equal(error.bytes, "there is no label 'procces.pid'; the profile has these: "
					 "process.executable.name, process.pid");
	text_free(&error);
}

/* Keeps what `groups` say, or drops it; how many samples are left, or the error. */
static int left_by(struct profile *profile, const char *const *groups, size_t count, bool wanted, struct text *error)
{
	int r = profile_filter_groups(profile, groups, count, wanted, error);
	assert_int_equal(profile_check(profile), 0);
	return r < 0 ? r : (int)profile->samples.count;
}

static void samples_are_chosen_by_their_groups(void **state)
{
	_cleanup_profile_ struct profile *profile = test_profile(stacks, 3);
	struct text error = {0};
	add_labels(profile, 0, "server", 7);
	add_labels(profile, 1, "client", 8);
	const char *named[] = {"process=^serv", "executable=client", "process=client"};
	assert_int_equal(left_by(profile, named, 0, true, &error), 3);
	assert_int_equal(left_by(profile, (const char *const[]){"process.pid=9"}, 1, false, &error), 3);
	assert_int_equal(left_by(profile, (const char *const[]){"process=^.no process", "process=(8)"}, 2, true, &error), 2);
	assert_int_equal(profile->values.items[0], 4);
	assert_int_equal(left_by(profile, named, 3, true, &error), 1);
	assert_int_equal(left_by(profile, &named[1], 1, false, &error), 0);
	assert_int_equal(left_by(profile, (const char *const[]){"process"}, 1, true, &error), -EINVAL);
	assert_string_equal(error.bytes, "'process' is not WORD=REGEX, such as process=nginx");
	text_free(&error);
}

static void lines_become_functions(void **state)
{
	_cleanup_profile_ struct profile *profile = test_profile(stacks, 3);
	bool failed = false;
	/* work, idle: one line each; main has none */
	profile->functions.items[1].file = profile_string(profile, "/src/deep/work.c", &failed);
	profile->lines.items[1].line = 12;
	profile->lines.items[2].line = 30;
	assert_int_equal(profile_split_lines(profile), 0);
	assert_int_equal(profile_check(profile), 0);
	assert_string_equal(frame(profile, 0, 0), "main");
	assert_string_equal(frame(profile, 0, 1), "work work.c:12");
	assert_string_equal(frame(profile, 1, 1), "idle line:30");
	assert_string_equal(frame(profile, 2, 1), "work work.c:12");
}

static void code_without_names_is_one_function_a_file(void **state)
{
	_cleanup_profile_ struct profile *profile = test_profile(stacks, 3);
	bool failed = false;
	array_add(&profile->mappings, (struct profile_mapping){.file = profile_string(profile, "/bin/cc1", &failed)});
	array_add(&profile->mappings, (struct profile_mapping){.file = profile_string(profile, "[vdso]", &failed)});
	for (uint32_t i = 0; i < 2; i++) {
		struct profile_location *leaf =
			&profile->locations.items[profile->stack_locations.items[profile->samples.items[i].first_location]];
		leaf->line_count = 0;
		leaf->mapping = i;
		leaf->address = 0x1234 + i;
	}
	assert_string_equal(frame(profile, 0, 1), "[cc1+0x1234]");
	assert_int_equal(profile_join_unnamed(profile), 0);
	assert_int_equal(profile_check(profile), 0);
	assert_string_equal(frame(profile, 0, 0), "main");
	assert_string_equal(frame(profile, 0, 1), "[cc1]");
	assert_string_equal(frame(profile, 1, 1), "[vdso]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_stand_at_the_root),
		cmocka_unit_test(words_nest_and_equal_names_are_one_frame),
		cmocka_unit_test(binaries_are_those_whose_code_ran),
		cmocka_unit_test(slips_are_told_from_labels_that_are_not_there),
		cmocka_unit_test(samples_are_chosen_by_their_groups),
		cmocka_unit_test(lines_become_functions),
		cmocka_unit_test(code_without_names_is_one_function_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
