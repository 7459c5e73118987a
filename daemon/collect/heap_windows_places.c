/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What windows have seen at each place of a process. For how much a window stands is known when it is over, so what the
 * programs in the kernel have added up for it is taken out then, before the next one opens, and added to the window's stratum
 * (heap_phase.h).
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

#define MOST_PLACES 16384 /* of a process; the samples of others are lost */
#define BATCH 512U

ssize_t heap_windows_place_of(struct window_process *p, const struct heap_site_key *site)
{
	uint64_t key = heap_site_mix(site);
	const uint64_t *known = hash_get(&p->place_of_site, key);
	if (known)
		return (ssize_t)*known;
	size_t at = p->places.count;
	if (at == MOST_PLACES || array_add(&p->places, (struct window_place){.site = *site}) < 0)
		return -ENOMEM;
	if (hash_put(&p->place_of_site, key, at) < 0) {
		p->places.count--;
		return -ENOMEM;
	}
	return (ssize_t)at;
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
	in_stratum->objects += (double)sums->objects / HEAP_WEIGHT_ONE;
	in_stratum->object_variance += (double)sums->object_variance / 256;
	in_stratum->bytes += (double)sums->bytes;
	in_stratum->byte_variance += (double)sums->byte_variance * 1024;
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
	double weight = heap_phase_weight(&p->phase, stratum);
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
