/* SPDX-License-Identifier: Apache-2.0 */
/* A profile from folded stacks, root first: what the tests of reports and formats look at. Include after
 * cmocka.h. */
#pragma once

#include "profile/profile.h"

#include <string.h>

struct test_stack {
	const char *frames; /* "main;work" */
	int64_t value;
};

static inline uint32_t test_location(struct profile *profile, const char *name)
{
	bool failed = false;
	uint32_t string = profile_string(profile, name, &failed);
	for (uint32_t i = 0; i < profile->functions.count; i++)
		if (profile->functions.items[i].name == string)
			return i;
	uint32_t index = (uint32_t)profile->functions.count;
	array_add(&profile->functions, (struct profile_function){.name = string});
	array_add(&profile->lines, (struct profile_line){.function = index});
	array_add(&profile->locations,
		  (struct profile_location){.mapping = PROFILE_NONE,
					    .first_line = index,
					    .line_count = 1,
					    .address = index + 1});
	assert_false(failed);
	return index;
}

static inline void test_add_stack(struct profile *profile, const struct test_stack *stack)
{
	uint32_t locations[16], count = 0;
	char buffer[256], *rest = buffer;
	snprintf(buffer, sizeof(buffer), "%s", stack->frames);
	for (char *name; (name = strsep(&rest, ";"));)
		locations[count++] = test_location(profile, name);
	array_add(&profile->samples,
		  (struct profile_sample){
			  .first_location = (uint32_t)profile->stack_locations.count,
			  .location_count = count,
		  });
	while (count-- > 0)
		array_add(&profile->stack_locations, locations[count]);
	array_add(&profile->values, stack->value);
}

/* One sample type, cpu in nanoseconds. The caller frees. */
static inline struct profile *test_profile(const struct test_stack *stacks, size_t count)
{
	struct profile *profile;
	bool failed = false;
	assert_int_equal(profile_new(&profile), 0);
	array_add(&profile->sample_types,
		  (struct profile_value_type){profile_string(profile, "cpu", &failed),
					      profile_string(profile, "nanoseconds", &failed)});
	for (size_t i = 0; i < count; i++)
		test_add_stack(profile, &stacks[i]);
	assert_false(failed);
	assert_int_equal(profile_check(profile), 0);
	return profile;
}

#define TEST_PROFILE(...)                                              \
	test_profile((const struct test_stack[]){__VA_ARGS__},         \
		     ARRAY_LENGTH(((const struct test_stack[]){__VA_ARGS__})))
