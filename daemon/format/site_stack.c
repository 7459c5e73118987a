/* SPDX-License-Identifier: Apache-2.0 */
#include "format/site_stack.h"

#define STACK_ROWS 12

typedef void (*frame_callback)(struct text *out, int userdata, size_t index, const char *name);

/* True when none was left out. */
static bool each_frame(const struct profile *profile, uint32_t sample, size_t limit, frame_callback add, int userdata,
		       struct text *out)
{
	const struct profile_sample *s = &profile->samples.items[sample];
	char buffer[512];
	size_t count = 0;
	for (uint32_t i = 0; i < s->location_count; i++) {
		uint32_t index = profile->stack_locations.items[s->first_location + i];
		const struct profile_location *location = &profile->locations.items[index];
		for (uint32_t k = 0; k < MAX_OF(location->line_count, 1U); k++) {
			if (limit && count == limit)
				return false;
			add(out, userdata, count++,
			    profile_frame_name(profile, location, k, buffer, sizeof(buffer)));
		}
	}
	return true;
}

static void add_text_frame(struct text *out, int column, size_t index, const char *name)
{
	text_add(out, "%*s", column, "");
	text_add_printable(out, name);
	text_add_char(out, '\n');
}

static void add_json_frame(struct text *out, int userdata, size_t index, const char *name)
{
	text_add_string(out, index ? ",\"" : "\"");
	text_add_json(out, name);
	text_add_char(out, '"');
}

void site_stack_text(const struct profile *profile, uint32_t sample, int column, struct text *out)
{
	if (!each_frame(profile, sample, STACK_ROWS, add_text_frame, column, out))
		add_text_frame(out, column, 0, "…");
}

void site_stack_json(const struct profile *profile, uint32_t sample, struct text *out)
{
	each_frame(profile, sample, 0, add_json_frame, 0, out);
}
