/* SPDX-License-Identifier: Apache-2.0 */
/* See pprof.h. A profile is decoded, and each half of its samples encoded as a profile of its own. */
#include "format/pprof.h"

#include "profile/part.h"

#include <errno.h>

static uint64_t count_events(const struct profile *profile, size_t first, size_t count)
{
	int column = profile_find_sample_type(profile, "samples");
	size_t types = profile->sample_types.count;
	uint64_t events = 0;
	if (column < 0)
		return count; /* as everywhere: where events are not counted, each place is one */
	for (size_t i = first; i < first + count; i++)
		events += (uint64_t)profile->values.items[i * types + (size_t)column];
	return events;
}

static int encode_half(const struct profile *profile, const uint32_t *samples, size_t count,
		       struct pprof_half *ret)
{
	struct profile *part = NULL;
	int r = profile_part(profile, samples, count, PART_WITH_LABELS, &part);
	if (r == 0)
		r = pprof_encode(part, PPROF_RAW, &ret->bytes);
	profile_free(part);
	ret->events = count_events(profile, samples[0], count);
	return r;
}

static int encode_halves(const struct profile *profile, struct pprof_half ret[2])
{
	size_t count = profile->samples.count, first = count / 2;
	_cleanup_free_ uint32_t *all = calloc(count, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		all[i] = (uint32_t)i;
	int r = encode_half(profile, all, first, &ret[0]);
	return r < 0 ? r : encode_half(profile, all + first, count - first, &ret[1]);
}

void pprof_share_events(uint64_t events, struct pprof_half halves[2])
{
	uint64_t all = halves[0].events + halves[1].events;
	if (all != events)
		halves[0].events = (uint64_t)((unsigned __int128)events * halves[0].events / MAX_OF(all, 1u));
	halves[1].events = events - halves[0].events;
}

int pprof_split(const void *bytes, size_t size, uint64_t events, struct pprof_half ret[2])
{
	struct pprof_failure failure;
	struct profile *profile = NULL;
	ret[0] = ret[1] = (struct pprof_half){0};
	int r = pprof_decode(bytes, size, 0, &failure, &profile);
	if (r == 0)
		r = profile->samples.count < 2 ? -E2BIG : encode_halves(profile, ret);
	profile_free(profile);
	for (int i = 0; r < 0 && i < 2; i++)
		text_free(&ret[i].bytes);
	pprof_share_events(events, ret);
	return r;
}

uint64_t pprof_count_events(const void *bytes, size_t size)
{
	struct pprof_failure failure;
	struct profile *profile = NULL;
	if (pprof_decode(bytes, size, 0, &failure, &profile) < 0)
		return 0;
	uint64_t events = count_events(profile, 0, profile->samples.count);
	profile_free(profile);
	return events;
}
