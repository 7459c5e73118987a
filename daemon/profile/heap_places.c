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
		heap_lifetimes_subtract(&total->freed, &place.current.freed);
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

/*
 * How a place is told. Factors make fractions, and the same one of many places: of a single object that stands for 2.5,
 * whoever rounds to the nearest tells 3 at each place. So each place has a point of its own, anywhere between 0 and 1, from
 * which on it rounds up; as it stays the same, so does what is held.
 */
struct telling {
	double factor;
	double round_up; /* what is added before the fraction goes */
	bool in_all;
};

static int64_t tell_value(const struct telling *telling, double value)
{
	return (int64_t)floor(telling->factor * value + telling->round_up);
}

/* What there is to tell of a sum of which so much was told. */
static int64_t tell_sum(const struct telling *telling, double sum, double told)
{
	double all = fmax(sum, told);
	return tell_value(telling, telling->in_all ? all : all - told);
}

static struct heap_freed freed_of(const struct telling *telling, const struct heap_place *place,
				  const struct heap_lifetimes *since)
{
	struct heap_freed freed;
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++) {
		freed.objects[i] = tell_sum(telling, place->freed.objects[i] + since->objects[i],
					    place->told_freed.objects[i]);
		freed.bytes[i] = tell_sum(telling, place->freed.bytes[i] + since->bytes[i], place->told_freed.bytes[i]);
	}
	return freed;
}

static struct heap_values values_of(const struct telling *telling, const struct heap_place *place,
				    const struct heap_total *total)
{
	const struct heap_outliving *o = &total->outliving;
	double most = fmax(place->bytes + total->bytes, place->told_bytes);
	return (struct heap_values){
		.objects = tell_sum(telling, place->objects + total->objects, place->told_objects),
		.bytes = tell_sum(telling, place->bytes + total->bytes, place->told_bytes),
		.held_objects = tell_value(telling, total->held_objects),
		.held_bytes = tell_value(telling, total->held_bytes),
		.estimated_bytes = tell_value(telling, fmin(o->bytes, most)),
		.least_bytes = tell_value(telling, fmin(o->least, most)),
		.watched = (int64_t)MAX_OF(o->watched, o->samples),
		.outlived = (int64_t)o->samples,
		.freed = freed_of(telling, place, &total->freed),
		.factor = telling->factor,
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

/* What is told of one process, by which the chance that it was chosen makes the sums inexact. */
struct told_process {
	double factor, objects, bytes, held_objects, held_bytes;
};

/* One profile that is told. */
struct teller {
	const struct heap_places *places;
	const struct aggregate_window *window;
	struct strategies *strategies;
	struct hash entries;	/* key -> index in the window */
	struct hash by_process; /* its life -> index in `processes` */
	ARRAY(struct told_process) processes; /* those of which the factor is not 1 */
	struct heap_told *told;
};

static void free_teller(struct teller *t)
{
	hash_free(&t->entries);
	hash_free(&t->by_process);
	array_free(&t->processes);
}

static struct telling telling_of(const struct teller *t, uint64_t entry, uint64_t key)
{
	const struct process *process = t->window->entries.items[entry].process;
	double factor = t->strategies ? strategies_heap_factor(t->strategies, process) : 1;
	double round_up = factor == 1 ? 0.5 : ldexp((double)(key >> 11), -53);
	return (struct telling){factor, round_up, t->told->in_all};
}

static void tell_total(struct teller *t, const struct heap_total *total)
{
	uint64_t key = key_of_total(total);
	struct heap_place place = find_place(t->places, key);
	const uint64_t *entry = hash_get(&t->entries, key);
	if (!entry) {
		struct telling itself = {1, 0.5, t->told->in_all};
		t->told->lost_places++;
		t->told->lost_bytes += (uint64_t)values_of(&itself, &place, total).bytes;
		return;
	}
	struct telling telling = telling_of(t, *entry, key);
	t->told->values[*entry] = values_of(&telling, &place, total);
	double square = telling.factor * telling.factor;
	t->told->variances.held_objects += square * total->held_object_variance;
	t->told->variances.held_bytes += square * total->held_byte_variance;
}

/* A program that allocates nothing new is told of all the same: what it allocated is known. */
static void tell_quiet(struct teller *t)
{
	for (size_t i = 0; i < t->places->list.count; i++) {
		const struct heap_place *place = &t->places->list.items[i];
		const uint64_t *entry = hash_get(&t->entries, place->key);
		if (!entry)
			continue;
		struct telling telling = telling_of(t, *entry, place->key);
		struct heap_values *values = &t->told->values[*entry];
		values->objects = tell_sum(&telling, place->objects, place->told_objects);
		values->bytes = tell_sum(&telling, place->bytes, place->told_bytes);
		values->freed = freed_of(&telling, place, &(struct heap_lifetimes){0});
		values->factor = telling.factor;
	}
}

/* A process, whatever programs it ran, was chosen once. NULL: out of memory. */
static struct told_process *find_told_process(struct teller *t, uint64_t entry)
{
	uint64_t life = t->window->entries.items[entry].process->life;
	const uint64_t *known = hash_get(&t->by_process, life);
	if (known)
		return &t->processes.items[*known];
	if (array_add(&t->processes, (struct told_process){.factor = t->told->values[entry].factor}) < 0 ||
	    hash_put(&t->by_process, life, t->processes.count - 1) < 0)
		return NULL;
	return &t->processes.items[t->processes.count - 1];
}

static int add_to_process(struct teller *t, uint64_t entry)
{
	const struct heap_values *values = &t->told->values[entry];
	struct told_process *process = find_told_process(t, entry);
	if (!process)
		return -ENOMEM;
	process->objects += (double)values->objects;
	process->bytes += (double)values->bytes;
	process->held_objects += (double)values->held_objects;
	process->held_bytes += (double)values->held_bytes;
	return 0;
}

static int sum_up(struct teller *t)
{
	int r = 0;
	for (size_t i = 0; i < t->window->entries.count && r == 0; i++) {
		const struct heap_values *values = &t->told->values[i];
		t->told->objects += (double)values->objects;
		t->told->bytes += (double)values->bytes;
		if (values->factor > 1)
			r = add_to_process(t, i);
	}
	return r;
}

/* f (f - 1) v^2, of what is told, f v. */
static void add_chance(const struct teller *t)
{
	struct heap_variances *v = &t->told->variances;
	for (size_t i = 0; i < t->processes.count; i++) {
		const struct told_process *p = &t->processes.items[i];
		double left_out = 1 - 1 / p->factor;
		v->objects += left_out * p->objects * p->objects;
		v->bytes += left_out * p->bytes * p->bytes;
		v->held_objects += left_out * p->held_objects * p->held_objects;
		v->held_bytes += left_out * p->held_bytes * p->held_bytes;
	}
	t->told->is_weighed = t->processes.count > 0;
}

int heap_places_tell(const struct heap_places *places, const struct aggregate *aggregate,
		     const struct aggregate_window *window, const struct heap_totals *totals,
		     struct strategies *strategies, bool in_all, struct heap_told *ret)
{
	struct teller teller = {.places = places, .window = window, .strategies = strategies, .told = ret};
	*ret = (struct heap_told){
		.values = calloc(window->entries.count + 1, sizeof(*ret->values)),
		.interval = totals->interval,
		.in_all = in_all,
	};
	int r = ret->values ? index_entries(aggregate, window, &teller.entries) : -ENOMEM;
	if (r == 0 && in_all)
		tell_quiet(&teller);
	for (size_t i = 0; i < totals->list.count && r == 0; i++)
		tell_total(&teller, &totals->list.items[i]);
	if (r == 0)
		r = sum_up(&teller);
	add_chance(&teller);
	free_teller(&teller);
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
	place.told_objects += (double)values->objects / values->factor;
	place.told_bytes += (double)values->bytes / values->factor;
	heap_lifetimes_add(&place.freed, &total->freed);
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++) {
		place.told_freed.objects[i] += (double)values->freed.objects[i] / values->factor;
		place.told_freed.bytes[i] += (double)values->freed.bytes[i] / values->factor;
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
