/* SPDX-License-Identifier: Apache-2.0 */
/* See unit.h. */
#include "profile/unit.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define NANOSECONDS "nanoseconds"
#define BYTES "bytes"

static const struct known_unit {
	const char *name, *usual;
	int64_t scale; /* usual units in one */
} known_units[] = {
	{"ns", NANOSECONDS, 1},			{"nanosecond", NANOSECONDS, 1},
	{"us", NANOSECONDS, 1000},		{"\u00b5s", NANOSECONDS, 1000},
	{"\u03bcs", NANOSECONDS, 1000},		{"microsecond", NANOSECONDS, 1000},
	{"ms", NANOSECONDS, 1000000},		{"millisecond", NANOSECONDS, 1000000},
	{"s", NANOSECONDS, 1000000000},		{"sec", NANOSECONDS, 1000000000},
	{"second", NANOSECONDS, 1000000000},	{"min", NANOSECONDS, 60000000000},
	{"minute", NANOSECONDS, 60000000000},	{"hr", NANOSECONDS, 3600000000000},
	{"hour", NANOSECONDS, 3600000000000},	{"b", BYTES, 1},
	{"byte", BYTES, 1},			{"kb", BYTES, 1LL << 10},
	{"kib", BYTES, 1LL << 10},		{"kbyte", BYTES, 1LL << 10},
	{"kilobyte", BYTES, 1LL << 10},		{"mb", BYTES, 1LL << 20},
	{"mib", BYTES, 1LL << 20},		{"mbyte", BYTES, 1LL << 20},
	{"megabyte", BYTES, 1LL << 20},		{"gb", BYTES, 1LL << 30},
	{"gib", BYTES, 1LL << 30},		{"gbyte", BYTES, 1LL << 30},
	{"gigabyte", BYTES, 1LL << 30},		{"tb", BYTES, 1LL << 40},
	{"tib", BYTES, 1LL << 40},		{"terabyte", BYTES, 1LL << 40},
};

/* Is `word` this name, or its plural, in any case? */
static bool is_name(const char *word, const char *name)
{
	size_t length = strlen(name);
	return strncasecmp(word, name, length) == 0 &&
	       (word[length] == '\0' || (length > 2 && tolower(word[length]) == 's' && word[length + 1] == '\0'));
}

static const struct known_unit *find_unit(const char *word)
{
	for (size_t i = 0; i < ARRAY_LENGTH(known_units); i++)
		if (is_name(word, known_units[i].name))
			return &known_units[i];
	return NULL;
}

static int64_t *value_at(struct profile *profile, size_t sample, size_t type)
{
	return &profile->values.items[sample * profile->sample_types.count + type];
}

/* Returns false, and changes nothing, when a value would not fit. */
static bool scale_values(struct profile *profile, size_t type, int64_t scale)
{
	int64_t scaled;
	for (size_t i = 0; scale > 1 && i < profile->samples.count; i++)
		if (__builtin_mul_overflow(*value_at(profile, i, type), scale, &scaled))
			return false;
	for (size_t i = 0; scale > 1 && i < profile->samples.count; i++)
		*value_at(profile, i, type) *= scale;
	return true;
}

int profile_take_usual_units(struct profile *profile)
{
	bool failed = false;
	for (size_t i = 0; i < profile->sample_types.count; i++) {
		struct profile_value_type *type = &profile->sample_types.items[i];
		const struct known_unit *unit = find_unit(profile_text(profile, type->unit));
		if (unit && scale_values(profile, i, unit->scale))
			type->unit = profile_string(profile, unit->usual, &failed);
	}
	const struct known_unit *unit = find_unit(profile_text(profile, profile->period_type.unit));
	int64_t period;
	if (unit && !__builtin_mul_overflow(profile->period, unit->scale, &period)) {
		profile->period = period;
		profile->period_type.unit = profile_string(profile, unit->usual, &failed);
	}
	return failed ? -ENOMEM : 0;
}
