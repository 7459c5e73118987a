/* SPDX-License-Identifier: Apache-2.0 */
/* See filter.h. Each location is matched once, then each sample is a look at its locations' bits. */
#include "profile/filter.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

static int compile(const char *pattern, regex_t *regex, struct text *error)
{
	char reason[128];
	int r = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);
	if (r == 0)
		return 0;
	if (r == REG_ESPACE)
		return -ENOMEM;
	regerror(r, regex, reason, sizeof(reason));
	text_add(error, "'%s' is no regular expression: %s", pattern, reason);
	return -EINVAL;
}

static bool location_matches(const struct profile *profile, uint32_t index, const regex_t *regex)
{
	const struct profile_location *location = &profile->locations.items[index];
	uint32_t lines = MAX_OF(location->line_count, 1u);
	for (uint32_t line = 0; line < lines; line++) {
		char buffer[512];
		const char *name =
			profile_frame_name(profile, location, line, buffer, sizeof(buffer));
		if (regexec(regex, name, 0, NULL, 0) == 0)
			return true;
	}
	return false;
}

static bool sample_matches(const struct profile *profile, const struct profile_sample *sample,
			   const bool *matches)
{
	for (uint32_t i = 0; i < sample->location_count; i++)
		if (matches[profile->stack_locations.items[sample->first_location + i]])
			return true;
	return false;
}

/* Keeps the samples that match, or those that do not. */
static int keep(struct profile *profile, const char *pattern, bool wanted, struct text *error)
{
	regex_t regex;
	int r = compile(pattern, &regex, error);
	if (r < 0)
		return r;
	_cleanup_(regfree) regex_t owned = regex;
	_cleanup_free_ bool *matches = calloc(profile->locations.count + 1, sizeof(*matches));
	if (!matches)
		return -ENOMEM;
	for (uint32_t i = 0; i < profile->locations.count; i++)
		matches[i] = location_matches(profile, i, &owned);

	size_t types = profile->sample_types.count, kept = 0;
	for (size_t i = 0; i < profile->samples.count; i++) {
		if (sample_matches(profile, &profile->samples.items[i], matches) != wanted)
			continue;
		profile->samples.items[kept] = profile->samples.items[i];
		memmove(profile->values.items + kept * types, profile->values.items + i * types,
			types * sizeof(*profile->values.items));
		kept++;
	}
	profile->samples.count = kept;
	profile->values.count = kept * types;
	return 0;
}

int profile_filter(struct profile *profile, const char *focus, const char *ignore,
		   struct text *error)
{
	int r = focus ? keep(profile, focus, true, error) : 0;
	return r == 0 && ignore ? keep(profile, ignore, false, error) : r;
}
