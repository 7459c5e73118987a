/* SPDX-License-Identifier: Apache-2.0 */
/* See part.h. A view of the whole, with its own list of samples, goes through a merge of one. */
#include "profile/part.h"

#include "profile/merge.h"

#include <errno.h>
#include <string.h>

int profile_part(const struct profile *profile, const uint32_t *samples, size_t count,
		 enum part_labels labels, struct profile **ret)
{
	size_t types = profile->sample_types.count;
	struct profile view = *profile;
	_cleanup_free_ struct profile_sample *kept = calloc(count + 1, sizeof(*kept));
	_cleanup_free_ int64_t *values = calloc(count * types + 1, sizeof(*values));
	if (!kept || !values)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		kept[i] = profile->samples.items[samples[i]];
		if (labels == PART_WITHOUT_LABELS)
			kept[i].label_count = 0;
		memcpy(values + i * types, profile->values.items + samples[i] * types,
		       types * sizeof(*values));
	}
	view.samples.items = kept;
	view.values.items = values;
	view.samples.count = count;
	view.values.count = count * types;
	return profile_merge((const struct profile *[]){&view}, 1, ret);
}
