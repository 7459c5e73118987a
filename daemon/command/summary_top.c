/* SPDX-License-Identifier: Apache-2.0 */
/* See summary_top.h. */
#include "command/summary_top.h"

#include "base/arithmetic.h"
#include "base/hash.h"
#include "command/terminal.h"

#include <errno.h>
#include <stdlib.h>

#define TOP_FUNCTIONS 5

/* Time by function, of its own alone: nothing above the leaves is looked at. */
struct self_times {
	struct strings names;
	ARRAY(int64_t) self; /* by index of the name */
	int64_t total;
};

static void self_times_free(struct self_times *times)
{
	strings_free(&times->names);
	array_free(&times->self);
}

static int add_self(struct self_times *times, const char *name, int64_t value)
{
	uint32_t index;
	int r = strings_add_text(&times->names, name, &index);
	if (r == 0 && index == times->self.count)
		r = array_add(&times->self, 0);
	if (r == 0)
		times->self.items[index] = add_saturating(times->self.items[index], value);
	return r;
}

/* One name a location, however many samples end there. */
static int find_self_times(const struct profile *profile, size_t value, struct self_times *ret)
{
	_cleanup_free_ int64_t *of_location = calloc(profile->locations.count + 1, sizeof(*of_location));
	if (!of_location)
		return -ENOMEM;
	for (size_t i = 0; i < profile->samples.count; i++) {
		const struct profile_sample *sample = &profile->samples.items[i];
		int64_t weight = profile->values.items[i * profile->sample_types.count + value];
		ret->total = add_saturating(ret->total, weight);
		if (!sample->location_count)
			continue;
		int64_t *self = &of_location[profile->stack_locations.items[sample->first_location]];
		*self = add_saturating(*self, weight);
	}
	int r = 0;
	for (size_t i = 0; i < profile->locations.count && r == 0; i++) {
		const struct profile_location *location = &profile->locations.items[i];
		char buffer[512];
		if (of_location[i])
			r = add_self(ret, profile_plain_name(profile, location, buffer, sizeof(buffer)), of_location[i]);
	}
	return r;
}

/* The TOP_FUNCTIONS names with the most time of their own, largest first. */
static size_t find_top(const struct self_times *times, uint32_t *top)
{
	const int64_t *self = times->self.items;
	size_t count = 0;
	for (uint32_t name = 0; name < times->self.count; name++) {
		if (self[name] <= 0)
			continue;
		size_t at = count < TOP_FUNCTIONS ? count++ : TOP_FUNCTIONS;
		for (; at > 0 && self[top[at - 1]] < self[name]; at--)
			if (at < TOP_FUNCTIONS)
				top[at] = top[at - 1];
		if (at < TOP_FUNCTIONS)
			top[at] = name;
	}
	return count;
}

/* What the top is of: a heap profile of windows alone has nothing in use to rank, only what was allocated. */
static const char *top_title(const struct profile *profile, enum profile_kind kind, size_t value)
{
	if (kind == PROFILE_KIND_CPU)
		return "top";
	if (kind == PROFILE_KIND_GROWTH)
		return "top growth";
	return (int)value == profile_find_sample_type(profile, "inuse_space") ? "top in use"
									       : "top alloc";
}

void summary_write_top(const struct profile *profile, enum profile_kind kind, bool colour, struct text *out)
{
	_cleanup_(self_times_free) struct self_times times = {0};
	size_t value = profile_default_value(profile);
	if (!profile->samples.count || !profile->sample_types.count ||
	    find_self_times(profile, value, &times) < 0)
		return;
	const char *title = top_title(profile, kind, value);
	uint32_t top[TOP_FUNCTIONS];
	size_t count = find_top(&times, top);
	for (size_t i = 0; i < count; i++) {
		char share[32];
		text_share(share, sizeof(share), (double)times.self.items[top[i]], (double)times.total);
		text_add(out, "%-10s %s%8s%s  ", i ? "" : title, terminal_colour(colour, COLOUR_BOLD), share,
			 terminal_colour(colour, COLOUR_NONE));
		text_add_printable(out, strings_get(&times.names, top[i]));
		text_add_char(out, '\n');
	}
}
