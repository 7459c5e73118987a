/* SPDX-License-Identifier: Apache-2.0 */
/* See lifetimes.h. */
#include "profile/lifetimes.h"

#include "base/arithmetic.h"
#include "profile/stack_sums.h"

#include <stdlib.h>
#include <string.h>

static const struct stack_column columns[] = {
	{"alloc_objects", offsetof(struct lifetime_site, allocated_objects), true, false},
	{"alloc_space", offsetof(struct lifetime_site, allocated_bytes), true, false},
	{"inuse_objects", offsetof(struct lifetime_site, held_objects), true, false},
	{"inuse_space", offsetof(struct lifetime_site, held_bytes), true, false},
	{"freed_objects", offsetof(struct lifetime_site, freed_objects), true, true},
	{"freed_space", offsetof(struct lifetime_site, freed_bytes), true, true},
	{"inuse_watched_samples", offsetof(struct lifetime_site, watched), false, false},
};

uint64_t lifetime_bound_ms(unsigned class)
{
	return HEAP_LIFETIME_BOUND_NS(class) / 1000000;
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
	size_t kept = 0;
	*ret = (struct lifetimes){0};
	int r = stack_sums_collect(profile, columns, ARRAY_LENGTH(columns), class_of, &ret->sites);
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
