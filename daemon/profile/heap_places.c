/* SPDX-License-Identifier: Apache-2.0 */
/* Places are told by what the kernel's table has as key; 64 bits of its hash stand for it. */
#include "profile/heap_places.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

void heap_places_free(struct heap_places *places)
{
	array_free(&places->list);
	hash_free(&places->by_key);
}

/* Process ids come again, but not within the same program start. */
static uint64_t mix_key(uint64_t stack_id, uint32_t pid, uint32_t exec_id, uint64_t start_time)
{
	return hash_mix(stack_id ^ hash_mix((uint64_t)pid << 32 | exec_id) ^ start_time);
}

static uint64_t key_of_total(const struct heap_total *total)
{
	return mix_key(total->key.stack_id, total->key.pid, total->key.exec_id, total->key.process_start);
}

static uint64_t key_of_entry(const struct aggregate *aggregate, const struct aggregate_entry *entry)
{
	return mix_key(aggregate->stacks.items[entry->stack].id, entry->process->pid, entry->process->exec_id,
		       entry->process->start_time);
}

/* What was told of it, or zeros. */
static struct heap_place find_place(const struct heap_places *places, uint64_t key)
{
	const uint64_t *index = hash_get(&places->by_key, key);
	return index ? places->list.items[*index] : (struct heap_place){.key = key};
}

void heap_places_subtract(const struct heap_places *places, struct heap_totals *totals)
{
	for (size_t i = 0; i < totals->list.count; i++) {
		struct heap_total *total = &totals->list.items[i];
		struct heap_place place = find_place(places, key_of_total(total));
		/* A block may have come between the reading of the places and that of the blocks. */
		total->held_objects = fmin(total->held_objects, total->objects);
		total->held_bytes = fmin(total->held_bytes, total->bytes);
		total->objects -= place.current.objects;
		total->object_variance = fmax(total->object_variance - place.current.object_variance, 0);
		total->bytes -= place.current.bytes;
		total->byte_variance = fmax(total->byte_variance - place.current.byte_variance, 0);
	}
}

bool heap_values_any(const struct heap_values *values)
{
	bool any = values->objects || values->bytes || values->held_objects || values->held_bytes ||
		   values->estimated_bytes;
	for (unsigned i = 0; i < HEAP_LIFETIMES && !any; i++)
		any = values->freed.objects[i] || values->freed.bytes[i];
	return any;
}

/* What there is to tell of a sum of which so much was told. */
static int64_t not_told(double sum, int64_t told, bool in_all)
{
	int64_t all = MAX_OF(llround(sum), told);
	return in_all ? all : all - told;
}

static struct heap_freed freed_of(const struct heap_place *place, const struct heap_total *total, bool in_all)
{
	struct heap_lifetimes sum = place->freed;
	struct heap_freed freed;
	heap_lifetimes_add(&sum, &total->freed);
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++) {
		freed.objects[i] = not_told(sum.objects[i], place->told_freed.objects[i], in_all);
		freed.bytes[i] = not_told(sum.bytes[i], place->told_freed.bytes[i], in_all);
	}
	return freed;
}

static struct heap_values values_of(const struct heap_place *place, const struct heap_total *total, bool in_all)
{
	const struct heap_outliving *o = &total->outliving;
	int64_t most = not_told(place->bytes + total->bytes, place->told_bytes, true);
	return (struct heap_values){
		.objects = not_told(place->objects + total->objects, place->told_objects, in_all),
		.bytes = not_told(place->bytes + total->bytes, place->told_bytes, in_all),
		.held_objects = llround(total->held_objects),
		.held_bytes = llround(total->held_bytes),
		.estimated_bytes = MIN_OF(llround(o->bytes), most),
		.least_bytes = MIN_OF(llround(o->least), most),
		.watched = (int64_t)MAX_OF(o->watched, o->samples),
		.outlived = (int64_t)o->samples,
		.freed = freed_of(place, total, in_all),
	};
}

/* Of entries of one place the first: it gets all. */
static int index_entries(const struct aggregate *aggregate, const struct aggregate_window *window, struct hash *ret)
{
	int r = 0;
	for (size_t i = window->entries.count; i-- > 0 && r == 0;)
		r = hash_put(ret, key_of_entry(aggregate, &window->entries.items[i]), i);
	return r;
}

/* A program that allocates nothing new is told of all the same: what it allocated is known. */
static void tell_quiet(const struct heap_places *places, const struct hash *entries, struct heap_told *told)
{
	for (size_t i = 0; i < places->list.count; i++) {
		const struct heap_place *place = &places->list.items[i];
		const uint64_t *entry = hash_get(entries, place->key);
		if (!entry)
			continue;
		told->values[*entry].objects = place->told_objects;
		told->values[*entry].bytes = place->told_bytes;
		told->values[*entry].freed = place->told_freed;
	}
}

int heap_places_tell(const struct heap_places *places, const struct aggregate *aggregate,
		     const struct aggregate_window *window, const struct heap_totals *totals, bool in_all,
		     struct heap_told *ret)
{
	struct hash entries = {0};
	*ret = (struct heap_told){
		.values = calloc(window->entries.count + 1, sizeof(*ret->values)),
		.interval = totals->interval,
		.in_all = in_all,
	};
	int r = ret->values ? index_entries(aggregate, window, &entries) : -ENOMEM;
	if (r == 0 && in_all)
		tell_quiet(places, &entries, ret);
	for (size_t i = 0; i < totals->list.count && r == 0; i++) {
		const struct heap_total *total = &totals->list.items[i];
		uint64_t key = key_of_total(total);
		struct heap_place place = find_place(places, key);
		struct heap_values values = values_of(&place, total, in_all);
		const uint64_t *entry = hash_get(&entries, key);
		if (entry) {
			ret->values[*entry] = values;
			continue;
		}
		ret->lost_places++;
		ret->lost_bytes += (uint64_t)values.bytes;
	}
	hash_free(&entries);
	return r;
}

/* ---- The next profile ------------------------------------------------------------------------ */

static int add_place(struct heap_places *places, const struct heap_place *place)
{
	int r = array_add(&places->list, *place);
	return r < 0 ? r : hash_put(&places->by_key, place->key, places->list.count - 1);
}

/* As it is now. */
static struct heap_place go_on(struct heap_place place, const struct heap_total *total,
			       const struct heap_values *values)
{
	place.current = total->current;
	place.objects += total->objects;
	place.bytes += total->bytes;
	place.told_objects += values->objects;
	place.told_bytes += values->bytes;
	heap_lifetimes_add(&place.freed, &total->freed);
	heap_lifetimes_subtract(&place.freed, &total->current.freed);
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++) {
		place.told_freed.objects[i] += values->freed.objects[i];
		place.told_freed.bytes[i] += values->freed.bytes[i];
	}
	return place;
}

/* Those with totals, into *next; notes which entries have one. */
static int take_told(const struct heap_places *places, const struct heap_totals *totals, const struct hash *entries,
		     const struct aggregate_window *window, const struct heap_told *told, struct heap_places *next,
		     bool *keep)
{
	int r = 0;
	for (size_t i = 0; i < totals->list.count && r == 0; i++) {
		const struct heap_total *total = &totals->list.items[i];
		uint64_t key = key_of_total(total);
		const uint64_t *entry = hash_get(entries, key);
		if (!entry || (total->is_final && window->entries.items[*entry].process->end))
			continue;
		struct heap_place place = go_on(find_place(places, key), total, &told->values[*entry]);
		keep[*entry] = true;
		r = add_place(next, &place);
	}
	return r;
}

/* Those of which the kernel has nothing, while their programs run. */
static int take_quiet(const struct heap_places *places, const struct hash *entries,
		      const struct aggregate_window *window, struct heap_places *next, bool *keep)
{
	int r = 0;
	for (size_t i = 0; i < places->list.count && r == 0; i++) {
		const struct heap_place *place = &places->list.items[i];
		const uint64_t *entry = hash_get(entries, place->key);
		if (!entry || keep[*entry] || window->entries.items[*entry].process->end)
			continue;
		struct heap_place quiet = *place;
		quiet.current = (struct heap_amount){0};
		for (unsigned k = 0; k < HEAP_LIFETIMES; k++) { /* what was told of the kernel's part is final */
			quiet.freed.objects[k] = (double)quiet.told_freed.objects[k];
			quiet.freed.bytes[k] = (double)quiet.told_freed.bytes[k];
		}
		keep[*entry] = true;
		r = add_place(next, &quiet);
	}
	return r;
}

int heap_places_next(struct heap_places *places, const struct aggregate *aggregate, struct aggregate_window *window,
		     const struct heap_totals *totals, const struct heap_told *told)
{
	struct heap_places next = {.told = places->told};
	struct hash entries = {0};
	_cleanup_free_ bool *keep = calloc(window->entries.count + 1, sizeof(*keep));
	int r = keep ? index_entries(aggregate, window, &entries) : -ENOMEM;
	for (size_t i = 0; i < window->entries.count; i++)
		next.told += heap_values_any(&told->values[i]);
	if (r == 0)
		r = take_told(places, totals, &entries, window, told, &next, keep);
	if (r == 0)
		r = take_quiet(places, &entries, window, &next, keep);
	if (r == 0)
		r = aggregate_keep(window, keep);
	hash_free(&entries);
	heap_places_free(r == 0 ? places : &next);
	if (r == 0)
		*places = next;
	return r;
}
