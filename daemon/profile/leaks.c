/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a sampled profile an object stands for many that were not looked at, which make the estimate no surer.
 * With the mean distance T between samples (the profile's period, in bytes) a place that allocated B bytes was
 * looked at about B / T times; objects larger than T are seen one by one. So the interval is that of
 * min(objects, B / T) looks. What was seen in windows has looks of its own: the samples that were watched.
 */
#include "profile/leaks.h"

#include "base/arithmetic.h"
#include "base/interval.h"
#include "profile/stack_sums.h"

#include <string.h>

#define CERTAIN 0.5 /* of what a place takes it keeps most */

/* The first four any heap profile has, also others' than ours. */
static const struct stack_column columns[] = {
	{"alloc_objects", offsetof(struct leak_site, allocated_objects), true, false},
	{"alloc_space", offsetof(struct leak_site, allocated_bytes), true, false},
	{"inuse_objects", offsetof(struct leak_site, kept_objects), true, false},
	{"inuse_space", offsetof(struct leak_site, kept_bytes), true, false},
	{"inuse_estimated_space", offsetof(struct leak_site, estimated_bytes), false, false},
	{"inuse_estimated_least_space", offsetof(struct leak_site, least_bytes), false, false},
	{"inuse_watched_samples", offsetof(struct leak_site, watched), false, false},
	{"inuse_outlived_samples", offsetof(struct leak_site, outlived), false, false},
};

/* The bytes between two looks; 1 where every object was looked at. */
static double sample_distance(const struct profile *profile)
{
	bool is_bytes = !strcmp(profile_text(profile, profile->period_type.unit), "bytes");
	return is_bytes && profile->period > 1 ? (double)profile->period : 1;
}

/* Of objects that were followed from their allocation on. What lives from before the recording, or from intervals that
 * are not in it, was not allocated in it. */
static double looks_of(const struct leak_site *site, double distance, double *ret_kept)
{
	double objects = (double)MAX_OF(MAX_OF(site->allocated_objects, site->kept_objects), (int64_t)1);
	double bytes = (double)MAX_OF(site->allocated_bytes, site->kept_bytes);
	double looks = distance > 1 ? MIN_OF(objects, MAX_OF(bytes / distance, 1.0)) : objects;
	*ret_kept = looks * (double)site->kept_objects / objects;
	return looks;
}

/* Of the difference of two profiles: a place that kept less than before keeps nothing of what it took since. */
static void drop_negative(struct leak_site *site)
{
	for (size_t i = 0; i < ARRAY_LENGTH(columns); i++) {
		int64_t *field = (int64_t *)((char *)site + columns[i].field);
		*field = MAX_OF(*field, (int64_t)0);
	}
}

static void judge(struct leak_site *site, double distance)
{
	double kept = 0, looks = site->kept_objects > 0 ? looks_of(site, distance, &kept) : 0;
	looks = MAX_OF(looks + (double)MAX_OF(site->watched, site->outlived), 1.0);
	double survived = kept + (double)site->outlived;
	site->survival = survived / looks;
	site->survival_low = share_at_least(survived, looks);
	site->is_certain = site->survival_low >= CERTAIN &&
			   add_saturating(site->kept_bytes, site->least_bytes) > 0;
}

/* What is certainly kept, less where that is the smaller part of what is taken, before what only may be. */
static int compare(const void *a, const void *b)
{
	const struct leak_site *x = a, *y = b;
	double certain_x = x->survival_low * ((double)x->kept_bytes + (double)x->least_bytes);
	double certain_y = y->survival_low * ((double)y->kept_bytes + (double)y->least_bytes);
	double all_x = x->survival_low * ((double)x->kept_bytes + (double)x->estimated_bytes);
	double all_y = y->survival_low * ((double)y->kept_bytes + (double)y->estimated_bytes);
	if (x->is_certain != y->is_certain)
		return x->is_certain ? -1 : 1;
	if (certain_x != certain_y)
		return certain_x > certain_y ? -1 : 1;
	if (all_x != all_y)
		return all_x > all_y ? -1 : 1;
	return x->sample < y->sample ? -1 : x->sample > y->sample;
}

int leaks_find(const struct profile *profile, struct leaks *ret)
{
	size_t kept = 0;
	double distance = sample_distance(profile);
	*ret = (struct leaks){0};
	int r = stack_sums_collect(profile, columns, ARRAY_LENGTH(columns), NULL, &ret->sites);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ret->sites.count; i++) {
		struct leak_site *site = &ret->sites.items[i];
		drop_negative(site);
		if ((!site->kept_bytes || !site->kept_objects) && !site->estimated_bytes)
			continue;
		judge(site, distance);
		ret->kept_bytes = add_saturating(ret->kept_bytes, site->kept_bytes);
		ret->kept_objects = add_saturating(ret->kept_objects, site->kept_objects);
		ret->estimated_bytes = add_saturating(ret->estimated_bytes, site->estimated_bytes);
		ret->least_bytes = add_saturating(ret->least_bytes, site->least_bytes);
		ret->certain += site->is_certain;
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
