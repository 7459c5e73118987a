/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The places that allocate, each with what its samples stand for: since the probes were set, and of the window that is
 * open. Nothing depends on the ring, as totals are added up here; it carries each place's stack once.
 *
 * What a window shows stands for more where probes slow the program down more, and by how much is known when it is over. So
 * it is added up by itself, in `heap_window_sites`, until the daemon takes it. One window is open at a time.
 *
 * How long an object lived is known when it is freed, from the time that it carries, and added up at its place. What is
 * found out late, because its free was not seen, lived no longer than that.
 */
#pragma once

#include "maps.bpf.h"

/* Size: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct heap_site_key);
	__type(value, struct heap_site);
} heap_sites SEC(".maps");

/* Of the window that is open, or of the last one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct heap_site_key);
	__type(value, struct heap_site);
} heap_window_sites SEC(".maps");

static __always_inline struct heap_site *heap_site_in(void *sites, const struct heap_site_key *key)
{
	static const struct heap_site none; /* not on the stack, which the walk needs */
	struct heap_site *site = bpf_map_lookup_elem(sites, key);

	if (site)
		return site;
	bpf_map_update_elem(sites, key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(sites, key);
}

/* `watched`: the place, where it is looked what of it is freed; or 0. */
static __always_inline void add_to_site(struct heap_site *site, struct heap_site *watched, const struct heap_call *call)
{
	u64 weight = heap_weight(call->size, call->interval);
	u64 coarse = weight >> 8, bytes = call->size;

	__sync_fetch_and_add(&site->samples, 1);
	__sync_fetch_and_add(&site->objects, weight);
	if (weight > HEAP_WEIGHT_ONE) {
		/* Both are less than 2^54: see HEAP_MAX_INTERVAL. Horvitz and Thompson's estimate of their own
		 * variance: the square times w (w - 1). */
		u64 extra = bytes * (weight - HEAP_WEIGHT_ONE) >> 16;
		bytes += extra;
		__sync_fetch_and_add(&site->object_variance, coarse * (coarse - 256) >> 8);
		__sync_fetch_and_add(&site->byte_variance, bytes * extra >> 10);
	}
	__sync_fetch_and_add(&site->bytes, bytes);
	if (!watched)
		return;
	__sync_fetch_and_add(&watched->watched, 1);
	__sync_fetch_and_add(&watched->watched_sum.objects, weight);
	__sync_fetch_and_add(&watched->watched_sum.bytes, bytes);
}

/*
 * What one sampled object stands for, and where it is added when it is freed. Found out before it leaves `heap_live`, whose
 * memory of it may be another's from then on; added after that, by the one who took it out.
 */
struct heap_death {
	struct heap_sum *sum; /* of its place and the time it lived; 0: its place is not known */
	u64 objects, bytes;
};

static __always_inline struct heap_death death_of(const struct heap_block *block)
{
	struct heap_death death = {.objects = heap_weight(block->size, block->interval), .bytes = block->size};
	struct heap_site *site = bpf_map_lookup_elem(&heap_sites, &block->site);
	u32 class = heap_lifetime_class(bpf_ktime_get_ns() - block->time);

	if (death.objects > HEAP_WEIGHT_ONE)
		death.bytes += death.bytes * (death.objects - HEAP_WEIGHT_ONE) >> 16;
	asm volatile("" : "+r"(class)); /* the index itself is compared: the verifier of 6.1 sees no other bound */
	if (site && class < HEAP_LIFETIMES)
		death.sum = &site->freed[class];
	return death;
}

static __always_inline void add_death(const struct heap_death *death)
{
	if (!death->sum)
		return;
	__sync_fetch_and_add(&death->sum->objects, death->objects);
	__sync_fetch_and_add(&death->sum->bytes, death->bytes);
}
