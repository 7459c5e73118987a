/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text or type is the same in two profiles when its words are; indices differ.
 */
#include "profile/merge_header.h"

#include "base/arithmetic.h"

#include <errno.h>
#include <string.h>

size_t merge_find_type(const struct profile *of, struct profile_value_type type,
			const struct profile *source)
{
	size_t i = 0;
	for (; i < source->sample_types.count; i++) {
		struct profile_value_type other = source->sample_types.items[i];
		if (!strcmp(profile_text(of, type.type), profile_text(source, other.type)) &&
		    !strcmp(profile_text(of, type.unit), profile_text(source, other.unit)))
			break;
	}
	return i;
}

static uint32_t copy_string(struct profile *sum, const struct profile *first, uint32_t string,
			    bool *failed)
{
	return profile_string(sum, profile_text(first, string), failed);
}

int merge_sample_types(struct profile *sum, const struct profile *const *profiles,
			      size_t count)
{
	const struct profile *first = profiles[0];
	bool failed = false;
	for (size_t i = 0; i < first->sample_types.count; i++) {
		struct profile_value_type type = first->sample_types.items[i];
		size_t having = 0;
		for (size_t k = 0; k < count; k++)
			having += merge_find_type(first, type, profiles[k]) <
				  profiles[k]->sample_types.count;
		if (having < count)
			continue;
		type.type = copy_string(sum, first, type.type, &failed);
		type.unit = copy_string(sum, first, type.unit, &failed);
		if (array_add(&sum->sample_types, type) < 0)
			return -ENOMEM;
	}
	if (failed)
		return -ENOMEM;
	return sum->sample_types.count ? 0 : -EINVAL;
}

/* Adds the times up; returns whether all periods agree. */
static bool merge_times(struct profile *sum, const struct profile *const *profiles, size_t count)
{
	bool same_period = true;
	sum->period = profiles[0]->period;
	for (size_t i = 0; i < count; i++) {
		const struct profile *source = profiles[i];
		if (source->time_ns && (!sum->time_ns || source->time_ns < sum->time_ns))
			sum->time_ns = source->time_ns;
		sum->duration_ns = add_saturating(sum->duration_ns, source->duration_ns);
		same_period &= source->period == sum->period &&
			       !strcmp(profile_text(source, source->period_type.type),
				       profile_text(profiles[0], profiles[0]->period_type.type));
	}
	return same_period;
}

int merge_header(struct profile *sum, const struct profile *const *profiles, size_t count)
{
	const struct profile *first = profiles[0];
	bool failed = false;
	if (merge_times(sum, profiles, count)) {
		sum->period_type.type = copy_string(sum, first, first->period_type.type, &failed);
		sum->period_type.unit = copy_string(sum, first, first->period_type.unit, &failed);
	} else {
		sum->period = 0;
		uint32_t comment =
			profile_string(sum, "merged from profiles of different periods", &failed);
		if (array_add(&sum->comments, comment) < 0)
			return -ENOMEM;
	}
	sum->default_sample_type = copy_string(sum, first, first->default_sample_type, &failed);
	sum->drop_frames = copy_string(sum, first, first->drop_frames, &failed);
	sum->keep_frames = copy_string(sum, first, first->keep_frames, &failed);
	sum->doc_url = copy_string(sum, first, first->doc_url, &failed);
	return failed ? -ENOMEM : 0;
}
