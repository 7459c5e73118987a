/* SPDX-License-Identifier: Apache-2.0 */
/* See speedscope.h. The table of frames is the profile's functions followed by its locations without
 * a line, so that a frame's number needs no lookup. */
#include "format/speedscope.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct frames {
	const struct profile *profile;
	uint32_t *of_location; /* frame of a location's lines that have no function */
};

static void add_string(struct text *out, const char *key, const char *value)
{
	text_add(out, "\"%s\":\"", key);
	text_add_json(out, value);
	text_add_char(out, '"');
}

static bool is_unnamed(const struct profile *profile, const struct profile_location *location,
		       uint32_t line)
{
	return line >= location->line_count ||
	       profile->lines.items[location->first_line + line].function == PROFILE_NONE;
}

static bool needs_own_frame(const struct profile *profile, const struct profile_location *location,
			    uint32_t *ret_line)
{
	uint32_t lines = MAX_OF(location->line_count, 1u);
	for (*ret_line = 0; *ret_line < lines; (*ret_line)++)
		if (is_unnamed(profile, location, *ret_line))
			return true;
	return false;
}

static void add_functions(const struct profile *profile, struct text *out)
{
	for (size_t i = 0; i < profile->functions.count; i++) {
		const struct profile_function *function = &profile->functions.items[i];
		text_add_string(out, i ? ",\n{" : "\n{");
		add_string(out, "name", profile_text(profile, function->name));
		if (function->file) {
			text_add_char(out, ',');
			add_string(out, "file", profile_text(profile, function->file));
		}
		if (function->start_line)
			text_add(out, ",\"line\":%u", function->start_line);
		text_add_char(out, '}');
	}
}

static void add_frames(struct frames *frames, struct text *out)
{
	const struct profile *profile = frames->profile;
	uint32_t next = (uint32_t)profile->functions.count;
	add_functions(profile, out);
	for (uint32_t i = 0; i < profile->locations.count; i++) {
		const struct profile_location *location = &profile->locations.items[i];
		char buffer[512];
		uint32_t line;
		if (!needs_own_frame(profile, location, &line))
			continue;
		text_add_string(out, next ? ",\n{" : "\n{");
		add_string(out, "name",
			   profile_frame_name(profile, location, line, buffer, sizeof(buffer)));
		text_add_char(out, '}');
		frames->of_location[i] = next++;
	}
}

static void add_stack(const struct frames *frames, const struct profile_sample *sample,
		      struct text *out)
{
	const struct profile *profile = frames->profile;
	const char *separator = "";
	for (uint32_t i = sample->location_count; i-- > 0;) {
		uint32_t index = profile->stack_locations.items[sample->first_location + i];
		const struct profile_location *location = &profile->locations.items[index];
		for (uint32_t line = MAX_OF(location->line_count, 1u); line-- > 0;) {
			uint32_t frame =
				is_unnamed(profile, location, line)
					? frames->of_location[index]
					: profile->lines.items[location->first_line + line].function;
			text_add(out, "%s%u", separator, frame);
			separator = ",";
		}
	}
}

/* A sample's value, added to *total; 0 for what is left out: nothing to draw, or past what 64 bits hold. */
static int64_t take_weight(const struct profile *profile, size_t sample, size_t type, int64_t *total)
{
	int64_t value = profile->values.items[sample * profile->sample_types.count + type];
	if (value <= 0 || value > INT64_MAX - *total)
		return 0;
	*total += value;
	return value;
}

static int64_t add_stacks(const struct frames *frames, size_t type, struct text *out)
{
	const struct profile *profile = frames->profile;
	const char *separator = "";
	int64_t total = 0;
	text_add_string(out, ",\n\"samples\":[");
	for (size_t i = 0; i < profile->samples.count; i++) {
		if (!take_weight(profile, i, type, &total))
			continue;
		text_add(out, "%s\n[", separator);
		add_stack(frames, &profile->samples.items[i], out);
		text_add_char(out, ']');
		separator = ",";
	}
	text_add_char(out, ']');
	return total;
}

static void add_weights(const struct profile *profile, size_t type, struct text *out)
{
	const char *separator = "";
	int64_t total = 0;
	text_add_string(out, ",\n\"weights\":[");
	for (size_t i = 0; i < profile->samples.count; i++) {
		int64_t value = take_weight(profile, i, type, &total);
		if (!value)
			continue;
		text_add(out, "%s%" PRId64, separator, value);
		separator = ",";
	}
	text_add_char(out, ']');
}

/* speedscope knows these units and draws the others as plain numbers. */
static const char *unit_name(const char *unit)
{
	static const char *const known[] = {"nanoseconds", "microseconds", "milliseconds",
					    "seconds", "bytes"};
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
		if (strcmp(unit, known[i]) == 0)
			return unit;
	return "none";
}

static void add_profile(const struct frames *frames, size_t type, struct text *out)
{
	const struct profile *profile = frames->profile;
	const struct profile_value_type *names = &profile->sample_types.items[type];
	text_add_string(out, type ? ",\n{\"type\":\"sampled\"," : "{\"type\":\"sampled\",");
	add_string(out, "name", profile_text(profile, names->type));
	text_add_char(out, ',');
	add_string(out, "unit", unit_name(profile_text(profile, names->unit)));
	int64_t total = add_stacks(frames, type, out);
	add_weights(profile, type, out);
	text_add(out, ",\n\"startValue\":0,\"endValue\":%" PRId64 "}", total);
}

int speedscope_encode(const struct profile *profile, struct text *out)
{
	_cleanup_free_ uint32_t *of_location =
		calloc(profile->locations.count + 1, sizeof(*of_location));
	if (!of_location)
		return -ENOMEM;
	struct frames frames = {profile, of_location};
	text_add(out,
		 "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
		 "\"exporter\":\"bolometer\",\"activeProfileIndex\":%zu,\n"
		 "\"shared\":{\"frames\":[",
		 profile_default_value(profile));
	add_frames(&frames, out);
	text_add_string(out, "]},\n\"profiles\":[");
	for (size_t i = 0; i < profile->sample_types.count; i++)
		add_profile(&frames, i, out);
	text_add_string(out, "]}\n");
	return out->failed ? -ENOMEM : 0;
}
