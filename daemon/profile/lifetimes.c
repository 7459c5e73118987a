/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/lifetimes.h"

#include "base/arithmetic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The sample types that are looked at, and where each goes; those of what was freed go to a class. */
static const struct column {
	const char *type;
	size_t field;
	bool has_classes, is_needed;
} columns[] = {
	{"alloc_objects", offsetof(struct lifetime_site, allocated_objects), false, true},
	{"alloc_space", offsetof(struct lifetime_site, allocated_bytes), false, true},
	{"inuse_objects", offsetof(struct lifetime_site, held_objects), false, true},
	{"inuse_space", offsetof(struct lifetime_site, held_bytes), false, true},
	{"freed_objects", offsetof(struct lifetime_site, freed_objects), true, true},
	{"freed_space", offsetof(struct lifetime_site, freed_bytes), true, true},
	{"inuse_watched_samples", offsetof(struct lifetime_site, watched), false, false},
};

#define COLUMNS ARRAY_LENGTH(columns)

uint64_t lifetime_bound_ms(unsigned class)
{
	return HEAP_LIFETIME_BOUND_NS(class) / 1000000;
}

/* Where each is among the sample types, -1: nowhere. */
static bool find_columns(const struct profile *profile, int at[static COLUMNS])
{
	bool has_all = true;
	for (size_t i = 0; i < COLUMNS; i++) {
		at[i] = profile_find_sample_type(profile, columns[i].type);
		has_all &= !columns[i].is_needed || at[i] >= 0;
	}
	return has_all;
}

/* That of the sample's label; what it says else is of the last one. */
static unsigned class_of(const struct profile *profile, const struct profile_sample *sample)
{
	unsigned class = HEAP_LIFETIMES - 1;
	for (uint32_t i = 0; i < sample->label_count; i++) {
		const struct profile_label *label = &profile->labels.items[sample->first_label + i];
		if (strcmp(profile_text(profile, label->key), "lifetime"))
			continue;
		while (class > 0 && label->number <= (int64_t)lifetime_bound_ms(class - 1))
			class--;
	}
	return class;
}

static void add_sample(const struct profile *profile, uint32_t sample, const int at[static COLUMNS],
		       struct lifetime_site *site)
{
	const int64_t *values = &profile->values.items[(size_t)sample * profile->sample_types.count];
	unsigned class = class_of(profile, &profile->samples.items[sample]);
	for (size_t i = 0; i < COLUMNS; i++) {
		int64_t *field = (int64_t *)((char *)site + columns[i].field) + (columns[i].has_classes ? class : 0);
		if (at[i] >= 0)
			*field = add_saturating(*field, values[at[i]]);
	}
}

static int collect(const struct profile *profile, const int at[static COLUMNS], struct lifetimes *ret)
{
	struct strings stacks = {0};
	uint32_t index;
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < profile->samples.count; i++) {
		r = profile_number_stack(profile, i, &stacks, &index);
		if (r == 0 && index == ret->sites.count)
			r = array_add(&ret->sites, (struct lifetime_site){.sample = i});
		if (r == 0)
			add_sample(profile, i, at, &ret->sites.items[index]);
	}
	strings_free(&stacks);
	return r;
}

/* Freed in the classes up to that one. */
static double sum_of(const int64_t freed[static HEAP_LIFETIMES], unsigned class)
{
	double sum = 0;
	for (unsigned i = 0; i <= class && i < HEAP_LIFETIMES; i++)
		sum += (double)freed[i];
	return sum;
}

double lifetime_share(const struct lifetime_site *site, unsigned class)
{
	return site->objects > 0 ? sum_of(site->freed_objects, class) / site->objects : 0;
}

/*
 * Where probes stayed, what is not freed is held. What was allocated is then known from the same samples, and counted
 * besides; in a sampled profile the two differ by chance, and the shares are of the former. Where there were windows,
 * only what was allocated says how many were not seen to be freed.
 */
static void judge(struct lifetime_site *site)
{
	double freed = sum_of(site->freed_objects, HEAP_LIFETIMES - 1);
	double rest = MAX_OF((double)site->allocated_objects - freed, 0.0);
	double held = MIN_OF((double)site->held_objects, rest);
	if (freed + rest == 0)
		held = (double)site->held_objects; /* from before */
	bool is_unseen = site->watched > 0 || freed + held == 0;
	site->objects = freed + (is_unseen ? MAX_OF(rest, held) : held);
	site->held = site->objects > 0 ? held / site->objects : 0;
	site->unseen = site->objects > 0 ? MAX_OF(site->objects - freed - held, 0.0) / site->objects : 0;
	while (site->median < HEAP_LIFETIMES && lifetime_share(site, site->median) < 0.5)
		site->median++;
}

static int compare(const void *a, const void *b)
{
	const struct lifetime_site *x = a, *y = b;
	double brief_x = sum_of(x->freed_bytes, LIFETIME_SECOND), brief_y = sum_of(y->freed_bytes, LIFETIME_SECOND);
	if (brief_x != brief_y)
		return brief_x > brief_y ? -1 : 1;
	if (x->allocated_bytes != y->allocated_bytes)
		return x->allocated_bytes > y->allocated_bytes ? -1 : 1;
	return x->sample < y->sample ? -1 : x->sample > y->sample;
}

int lifetimes_find(const struct profile *profile, struct lifetimes *ret)
{
	int at[COLUMNS];
	size_t kept = 0;
	*ret = (struct lifetimes){0};
	if (!find_columns(profile, at))
		return -ENODATA;
	int r = collect(profile, at, ret);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ret->sites.count; i++) {
		struct lifetime_site *site = &ret->sites.items[i];
		judge(site);
		if (site->objects <= 0)
			continue;
		ret->allocated_bytes = add_saturating(ret->allocated_bytes, site->allocated_bytes);
		for (unsigned class = 0; class <= LIFETIME_SECOND; class++)
			ret->brief_bytes = add_saturating(ret->brief_bytes, site->freed_bytes[class]);
		ret->sites.items[kept++] = *site;
	}
	ret->sites.count = kept;
	if (kept)
		qsort(ret->sites.items, kept, sizeof(*ret->sites.items), compare);
	return 0;
}

void lifetimes_free(struct lifetimes *lifetimes)
{
	array_free(&lifetimes->sites);
}
