/* SPDX-License-Identifier: Apache-2.0 */
/* See part.h. A view of the whole, with its own list of samples, goes through a merge of one. */
#include "profile/part.h"

#include "profile/merge.h"

#include <errno.h>
#include <string.h>

/* Leaves the sample the label of this key, or none. Key 0 (the empty text) is no label's. */
static void keep_label(const struct profile *profile, struct profile_sample *sample, uint32_t key)
{
	const struct profile_label *labels = profile->labels.items + sample->first_label;
	uint32_t at = 0;
	while (at < sample->label_count && labels[at].key != key)
		at++;
	sample->label_count = at < sample->label_count;
	sample->first_label += at;
}

int profile_part(const struct profile *profile, const uint32_t *samples, size_t count,
		 enum part_labels labels, struct profile **ret)
{
	size_t types = profile->sample_types.count;
	struct profile view = *profile;
	_cleanup_free_ struct profile_sample *kept = calloc(count + 1, sizeof(*kept));
	_cleanup_free_ int64_t *values = calloc(count * types + 1, sizeof(*values));
	uint32_t span_id = 0;
	if (!kept || !values)
		return -ENOMEM;
	if (labels == PART_WITH_SPANS)
		strings_find(&profile->strings, PROFILE_SPAN_ID, strlen(PROFILE_SPAN_ID), &span_id);
	for (size_t i = 0; i < count; i++) {
		kept[i] = profile->samples.items[samples[i]];
		if (labels != PART_WITH_LABELS)
			keep_label(profile, &kept[i], span_id);
		memcpy(values + i * types, profile->values.items + samples[i] * types,
		       types * sizeof(*values));
	}
	view.samples.items = kept;
	view.values.items = values;
	view.samples.count = count;
	view.values.count = count * types;
	return profile_merge((const struct profile *[]){&view}, 1, ret);
}
