/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What windows have seen at each place of a process. For how much a window stands is known when it is over, so what the
 * programs in the kernel have added up for it is taken out then, before the next one opens, and added to the window's stratum
 * (heap_phase.h).
 *
 * All of a phase stays until its end, as what its windows count for is known better with each of them. So a process that
 * has met three quarters of the places that it may have begins another phase, and what there is nothing left to say of is
 * given up.
 */
#include "collect/heap_windows_state.h"

#include "base/hash.h"
#include "base/log.h"
#include "bolometer.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#define ALL_PLACES 65536 /* of all processes together, some 20 MB */
#define LEAST_PLACES 1024
#define BATCH 512U

ssize_t heap_windows_place_of(struct window_process *p, const struct heap_site_key *site)
{
	uint64_t key = heap_site_mix(site);
	const uint64_t *known = hash_get(&p->place_of_site, key);
	if (known)
		return (ssize_t)*known;
	size_t at = p->places.count;
	if (at >= p->most_places || array_add(&p->places, (struct window_place){.site = *site}) < 0)
		return -ENOMEM;
	if (hash_put(&p->place_of_site, key, at) < 0) {
		p->places.count--;
		return -ENOMEM;
	}
	return (ssize_t)at;
}

/* `share_error`: the largest of the process's places. One with less than half of that is not missed. */
static bool is_needed(const struct window_process *p, const struct window_place *place, double share_error)
{
	bool is_share_needed = place->share.bytes > 0 &&
			       heap_share_error_95(&place->share, &p->shares) > share_error / 2;
	return place->outlived || is_share_needed;
}

/* The places that are needed, in their order. *numbers: of each place, which of these it is. Returns 0 or -ENOMEM. */
static int number_needed(const struct window_process *p, size_t *numbers, struct hash *ret)
{
	double share_error = heap_windows_share_error(p);
	size_t count = 0;
	int r = 0;
	for (size_t i = 0; i < p->places.count && r == 0; i++) {
		const struct window_place *place = &p->places.items[i];
		numbers[i] = SIZE_MAX;
		if (!is_needed(p, place, share_error))
			continue;
		numbers[i] = count++;
		r = hash_put(ret, heap_site_mix(&place->site), numbers[i]);
	}
	return r;
}

/* What was watched there is final. */
static void give_up(const struct window_place *place, struct heap_ended *ended)
{
	struct heap_total total = {.key = place->site, .outliving = {.watched = place->watched}};
	if (place->watched)
		heap_ended_add(ended, &total);
}

void heap_windows_thin_places(struct window_process *p, struct heap_ended *ended)
{
	struct hash needed = {0};
	_cleanup_free_ size_t *numbers = calloc(p->places.count + 1, sizeof(*numbers));
	if (!numbers || number_needed(p, numbers, &needed) < 0) { /* then they stay */
		hash_free(&needed);
		return;
	}
	size_t count = p->places.count;
	p->places.count = 0;
	for (size_t i = 0; i < count; i++)
		if (numbers[i] == SIZE_MAX)
			give_up(&p->places.items[i], ended);
		else
			p->places.items[p->places.count++] = p->places.items[i];
	for (size_t i = 0; i < p->cohorts.count; i++)
		p->cohorts.items[i].place = numbers[p->cohorts.items[i].place]; /* something of it has outlived */
	hash_free(&p->place_of_site);
	p->place_of_site = needed;
	p->kept_places = p->places.count;
	array_shrink(&p->places, p->places.count);
}

bool heap_windows_are_many_places(const struct window_process *p)
{
	return p->places.count >= p->most_places / 4 * 3 && p->places.count - p->kept_places >= p->most_places / 8;
}

void heap_windows_share_places(const struct heap_windows *w, struct window_process *p)
{
	size_t share = ALL_PLACES / MAX_OF(w->processes.count, (size_t)1);
	p->most_places = MIN_OF(MAX_OF(share, (size_t)LEAST_PLACES), (size_t)HEAP_MOST_PLACES);
}

/* ---- A window -------------------------------------------------------------------------------- */

struct seen_site {
	struct heap_site_key key;
	struct heap_site sums;
};

struct seen_sites {
	ARRAY(struct seen_site) list;
	uint64_t lost; /* samples: taken out of the kernel, and no memory for them */
};

/* Returns 0 or -errno: what is in *ret by then is right, and what is still in the kernel comes with the next window. */
static int take_sites(const struct heap_windows *w, struct seen_sites *ret)
{
	int map = bpf_map__fd(w->options.programs->skeleton->maps.heap_window_sites), r = 0;
	struct heap_site_key keys[BATCH];
	struct heap_site values[BATCH];
	uint32_t token = 0, count;
	bool is_first = true;
	while (r == 0) {
		count = BATCH;
		r = bpf_map_lookup_and_delete_batch(map, is_first ? NULL : &token, &token, keys, values, &count, NULL) < 0
			    ? -errno : 0;
		is_first = false;
		for (uint32_t i = 0; (r == 0 || r == -ENOENT) && i < count; i++)
			if (array_add(&ret->list, ((struct seen_site){keys[i], values[i]})) < 0)
				ret->lost += values[i].samples;
	}
	return r == -ENOENT ? 0 : r; /* -ENOENT: that was the last batch */
}

/* Returns 0 or -ENOMEM. With the lock held. */
static int add_site(struct window_process *p, unsigned stratum, const struct seen_site *seen, double weight, double all)
{
	ssize_t at = heap_windows_place_of(p, &seen->key);
	if (at < 0)
		return (int)at;
	struct window_place *place = &p->places.items[at];
	const struct heap_site *sums = &seen->sums;
	struct heap_sums *in_stratum = &place->seen[stratum];
	double window = p->window_weight;
	in_stratum->objects += window * (double)sums->objects / HEAP_WEIGHT_ONE;
	in_stratum->object_variance += window * window * (double)sums->object_variance / 256;
	in_stratum->bytes += window * (double)sums->bytes;
	in_stratum->byte_variance += window * window * (double)sums->byte_variance * 1024;
	place->samples += sums->samples;
	heap_share_add(&place->share, weight * (double)sums->bytes, weight * all);
	return 0;
}

void heap_windows_take_places(struct heap_windows *w, struct window_process *p, unsigned stratum)
{
	struct seen_sites sites = {0};
	double all = 0;
	int r = take_sites(w, &sites);
	if (r < 0)
		log_warning("what a window of process %u has seen is not all known: %s", p->pid, strerror(-r));
	for (size_t i = 0; i < sites.list.count; i++)
		all += (double)sites.list.items[i].sums.bytes;
	pthread_mutex_lock(&w->lock);
	double weight = p->window_weight * heap_phase_weight(&p->phase, stratum);
	heap_share_sums_add(&p->shares, weight * all);
	w->statistics.unplaced += sites.lost;
	for (size_t i = 0; i < sites.list.count; i++)
		if (add_site(p, stratum, &sites.list.items[i], weight, all) < 0)
			w->statistics.unplaced += sites.list.items[i].sums.samples;
	pthread_mutex_unlock(&w->lock);
	array_free(&sites.list);
}

/* ---- All of a phase -------------------------------------------------------------------------- */

void heap_windows_add_seen(const struct window_process *p, const struct heap_phase_scale *scale,
			   struct heap_total *total)
{
	const uint64_t *at = hash_get(&p->place_of_site, heap_site_mix(&total->key));
	if (!at)
		return;
	const struct window_place *place = &p->places.items[*at];
	for (unsigned i = 0; i < HEAP_STRATA; i++) {
		double factor = scale->factors[i];
		total->objects += factor * place->seen[i].objects;
		total->object_variance += factor * factor * place->seen[i].object_variance;
		total->bytes += factor * place->seen[i].bytes;
		total->byte_variance += factor * factor * place->seen[i].byte_variance;
	}
	total->samples += place->samples;
}

void heap_windows_forget_seen(struct window_process *p)
{
	for (size_t i = 0; i < p->places.count; i++) {
		memset(p->places.items[i].seen, 0, sizeof(p->places.items[i].seen));
		p->places.items[i].samples = 0;
	}
}

/* ---- Shares ---------------------------------------------------------------------------------- */

double heap_windows_share_error(const struct window_process *p)
{
	double most = 0;
	for (size_t i = 0; i < p->places.count; i++)
		most = fmax(most, heap_share_error_95(&p->places.items[i].share, &p->shares));
	return most;
}

void heap_windows_begin_shares(struct window_process *p)
{
	p->shares = (struct heap_share_sums){0};
	for (size_t i = 0; i < p->places.count; i++)
		p->places.items[i].share = (struct heap_share){0};
}
