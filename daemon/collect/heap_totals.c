/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/heap_totals.h"

#include <errno.h>
#include <stdlib.h>

uint64_t heap_site_mix(const struct heap_site_key *key)
{
	return hash_mix(key->stack_id ^ hash_mix((uint64_t)key->pid << 32 | key->exec_id) ^ key->process_start);
}

void heap_outliving_add(struct heap_outliving *sum, const struct heap_outliving *more)
{
	sum->bytes += more->bytes;
	sum->least += more->least;
	sum->watched += more->watched;
	sum->samples += more->samples;
}

static void add_total(struct heap_total *sum, const struct heap_total *more)
{
	sum->objects += more->objects;
	sum->object_variance += more->object_variance;
	sum->bytes += more->bytes;
	sum->byte_variance += more->byte_variance;
	sum->held_objects += more->held_objects;
	sum->held_object_variance += more->held_object_variance;
	sum->held_bytes += more->held_bytes;
	sum->held_byte_variance += more->held_byte_variance;
	heap_lifetimes_add(&sum->freed, &more->freed);
	heap_outliving_add(&sum->outliving, &more->outliving);
	sum->samples += more->samples;
	sum->held_samples += more->held_samples;
}

void heap_ended_add(struct heap_ended *ended, const struct heap_total *total)
{
	uint64_t key = heap_site_mix(&total->key);
	const uint64_t *at = hash_get(&ended->index, key);
	if (at) {
		add_total(&ended->list.items[*at - 1], total);
		return;
	}
	if (ended->list.count >= ended->limit || array_add(&ended->list, *total) < 0) {
		ended->lost++;
		return;
	}
	ended->list.items[ended->list.count - 1].is_final = true;
	if (hash_put(&ended->index, key, ended->list.count) < 0) {
		ended->list.count--;
		ended->lost++;
	}
}

int heap_ended_add_to(const struct heap_ended *ended, struct heap_totals *totals)
{
	struct hash index = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && ended->list.count && i < totals->list.count; i++)
		r = hash_put(&index, heap_site_mix(&totals->list.items[i].key), i + 1);
	for (size_t i = 0; r == 0 && i < ended->list.count; i++) {
		const struct heap_total *total = &ended->list.items[i];
		const uint64_t *at = hash_get(&index, heap_site_mix(&total->key));
		if (at)
			add_total(&totals->list.items[*at - 1], total);
		else
			r = array_add(&totals->list, *total);
	}
	hash_free(&index);
	return r;
}

void heap_ended_clear(struct heap_ended *ended)
{
	ended->list.count = 0;
	hash_clear(&ended->index);
}

void heap_ended_free(struct heap_ended *ended)
{
	array_free(&ended->list);
	hash_free(&ended->index);
}
