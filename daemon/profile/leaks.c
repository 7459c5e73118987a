/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a sampled profile an object stands for many that were not looked at, which make the estimate no surer.
 * With the mean distance T between samples (the profile's period, in bytes) a place that allocated B bytes was
 * looked at about B / T times; objects larger than T are seen one by one. So the interval is that of
 * min(objects, B / T) looks.
 */
#include "profile/leaks.h"

#include "base/arithmetic.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define NORMAL_95 1.96 /* quantile for a 95 % interval */

enum column { ALLOCATED_OBJECTS, ALLOCATED_BYTES, KEPT_OBJECTS, KEPT_BYTES, COLUMNS };

static bool find_columns(const struct profile *profile, size_t columns[static COLUMNS])
{
	static const char *const names[COLUMNS] = {"alloc_objects", "alloc_space", "inuse_objects",
						   "inuse_space"};
	for (size_t i = 0; i < COLUMNS; i++) {
		size_t at = 0;
		while (at < profile->sample_types.count &&
		       strcmp(profile_text(profile, profile->sample_types.items[at].type), names[i]))
			at++;
		if (at == profile->sample_types.count)
			return false;
		columns[i] = at;
	}
	return true;
}

/* The sample's site, by its stack. */
static int site_of(struct leaks *leaks, struct strings *stacks, const struct profile *profile,
		   uint32_t sample, struct leak_site **ret)
{
	const struct profile_sample *s = &profile->samples.items[sample];
	uint32_t index;
	static const uint32_t nothing;
	const uint32_t *stack = s->location_count
					? &profile->stack_locations.items[s->first_location]
					: &nothing;
	int r = strings_add(stacks, (const char *)stack, s->location_count * sizeof(*stack), &index);
	if (r == 0 && index == leaks->sites.count)
		r = array_add(&leaks->sites, (struct leak_site){.sample = sample});
	if (r == 0)
		*ret = &leaks->sites.items[index];
	return r;
}

static int collect(const struct profile *profile, const size_t *columns, struct leaks *leaks)
{
	struct strings stacks = {0};
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < profile->samples.count; i++) {
		const int64_t *values =
			&profile->values.items[(size_t)i * profile->sample_types.count];
		struct leak_site *site = NULL;
		r = site_of(leaks, &stacks, profile, i, &site);
		if (r < 0)
			break;
		site->allocated_objects =
			add_saturating(site->allocated_objects, values[columns[ALLOCATED_OBJECTS]]);
		site->allocated_bytes =
			add_saturating(site->allocated_bytes, values[columns[ALLOCATED_BYTES]]);
		site->kept_objects = add_saturating(site->kept_objects, values[columns[KEPT_OBJECTS]]);
		site->kept_bytes = add_saturating(site->kept_bytes, values[columns[KEPT_BYTES]]);
	}
	strings_free(&stacks);
	return r;
}

/* The bytes between two looks; 1 where every object was looked at. */
static double sample_distance(const struct profile *profile)
{
	bool is_bytes = !strcmp(profile_text(profile, profile->period_type.unit), "bytes");
	return is_bytes && profile->period > 1 ? (double)profile->period : 1;
}

static void judge(struct leak_site *site, double distance)
{
	/* What lives from before the recording, or from intervals that are not in it, was not allocated in it. */
	double objects = (double)MAX_OF(MAX_OF(site->allocated_objects, site->kept_objects), (int64_t)1);
	double bytes = (double)MAX_OF(site->allocated_bytes, site->kept_bytes);
	double looks = distance > 1 ? MIN_OF(objects, MAX_OF(bytes / distance, 1.0)) : objects;
	double p = (double)site->kept_objects / objects, z = NORMAL_95;
	double centre = p + z * z / (2 * looks);
	double spread = z * sqrt(p * (1 - p) / looks + z * z / (4 * looks * looks));
	site->survival = p;
	site->survival_low = MAX_OF((centre - spread) / (1 + z * z / looks), 0.0);
}

static int compare(const void *a, const void *b)
{
	const struct leak_site *x = a, *y = b;
	if (x->kept_bytes != y->kept_bytes)
		return x->kept_bytes > y->kept_bytes ? -1 : 1;
	return x->sample < y->sample ? -1 : x->sample > y->sample;
}

int leaks_find(const struct profile *profile, struct leaks *ret)
{
	size_t columns[COLUMNS], kept = 0;
	double distance = sample_distance(profile);
	*ret = (struct leaks){0};
	if (!find_columns(profile, columns))
		return -ENODATA;
	int r = collect(profile, columns, ret);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ret->sites.count; i++) {
		struct leak_site *site = &ret->sites.items[i];
		if (site->kept_bytes <= 0 || site->kept_objects <= 0)
			continue;
		judge(site, distance);
		ret->kept_bytes = add_saturating(ret->kept_bytes, site->kept_bytes);
		ret->kept_objects = add_saturating(ret->kept_objects, site->kept_objects);
		ret->sites.items[kept++] = *site;
	}
	ret->sites.count = kept;
	if (kept)
		qsort(ret->sites.items, kept, sizeof(*ret->sites.items), compare);
	return 0;
}

void leaks_free(struct leaks *leaks)
{
	array_free(&leaks->sites);
}
