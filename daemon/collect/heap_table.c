/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both tables are read in batches, bucket by bucket, so that entries that come and go meanwhile do not
 * make the reading begin anew. An object alive is counted at the place it came from when it is read: nothing has to
 * be subtracted when it is freed, and its weight is that of the interval it carries, whatever became of
 * the table's since.
 */
#include "collect/heap_table.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "bolometer.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 4096U
#define FIRST_RAISE 64 /* bytes: below it nearly every object is larger */
#define ENDED_PLACES (256U << 10)
#define ROOMY_NS (60 * NS_PER_SECOND)

void heap_table_init(struct heap_table *table, const struct programs *programs)
{
	const struct bolometer_bpf *s = programs->skeleton;
	*table = (struct heap_table){
		.programs = programs,
		.interval = s->data->heap_interval,
		.first_interval = s->data->heap_interval,
		.blocks = bpf_map__max_entries(s->maps.heap_live),
		.sites = bpf_map__max_entries(s->maps.heap_sites),
		.ended = {.limit = ENDED_PLACES},
	};
}

void heap_table_deinit(struct heap_table *table)
{
	heap_ended_free(&table->ended);
}

/* ---- Reading --------------------------------------------------------------------------------- */

typedef int (*entry_callback)(void *userdata, const void *key, const void *value);

/* Calls for each entry of a hash map. Returns 0, what `callback` returned below 0, or -errno. */
static int for_each_entry(const struct bpf_map *map, entry_callback callback, void *userdata)
{
	size_t key_size = bpf_map__key_size(map), value_size = bpf_map__value_size(map);
	uint32_t capacity = BATCH, count, token = 0;
	_cleanup_free_ char *keys = malloc(capacity * key_size);
	_cleanup_free_ char *values = malloc(capacity * value_size);
	bool is_first = true, is_last = false;
	int r = 0;
	while (!is_last && r >= 0) {
		if (!keys || !values)
			return -ENOMEM;
		count = capacity;
		r = bpf_map_lookup_batch(bpf_map__fd(map), is_first ? NULL : &token, &token, keys, values,
					 &count, NULL) < 0 ? -errno : 0;
		is_last = r == -ENOENT;
		if (r < 0 && !is_last)
			return r; /* -ENOSPC: a bucket of more than BATCH entries, which hashing does not make */
		is_first = false;
		r = 0;
		for (uint32_t i = 0; i < count && r >= 0; i++)
			r = callback(userdata, keys + i * key_size, values + i * value_size);
	}
	return MIN_OF(r, 0);
}

struct reader {
	struct heap_totals *totals;
	struct hash index; /* heap_site_mix() -> index + 1 */
};

static int add_site(void *userdata, const void *key, const void *value)
{
	struct reader *reader = userdata;
	const struct heap_site *site = value;
	struct heap_total total = {.objects = (double)site->objects / HEAP_WEIGHT_ONE,
				   .object_variance = (double)site->object_variance / 256,
				   .bytes = (double)site->bytes,
				   .byte_variance = (double)site->byte_variance * 1024,
				   .samples = site->samples,
				   .freed = heap_lifetimes_read(site),
				   .watched = site->watched_sum,
				   .outliving = {.watched = site->watched}};
	memcpy(&total.key, key, sizeof(total.key));
	if (array_add(&reader->totals->list, total) < 0)
		return -ENOMEM;
	return hash_put(&reader->index, heap_site_mix(&total.key), reader->totals->list.count);
}

static int add_block(void *userdata, const void *key, const void *value)
{
	struct reader *reader = userdata;
	const struct heap_block *block = value;
	const uint64_t *index = hash_get(&reader->index, heap_site_mix(&block->site));
	if (!index)
		return 0; /* of a place that came after the places were read */
	if (block->window)
		return 0; /* known to live until the end of its window only */
	struct heap_total *total = &reader->totals->list.items[*index - 1];
	double weight = 4294967296.0 / (double)heap_chance(block->size, block->interval);
	double size = (double)block->size;
	total->held_objects += weight;
	total->held_object_variance += weight * (weight - 1);
	total->held_bytes += size * weight;
	total->held_byte_variance += size * size * weight * (weight - 1);
	total->held_samples++;
	return 0;
}

/* Of those that are in the kernel. */
static int read_tables(const struct heap_table *table, struct heap_totals *ret)
{
	const struct bolometer_bpf *s = table->programs->skeleton;
	struct reader reader = {.totals = ret};
	int r = for_each_entry(s->maps.heap_sites, add_site, &reader);
	if (r == 0)
		r = for_each_entry(s->maps.heap_live, add_block, &reader);
	hash_free(&reader.index);
	return r;
}

static void scale(const struct heap_table *table, struct heap_totals *totals)
{
	for (size_t i = 0; table->scale && i < totals->list.count; i++)
		table->scale(table->userdata, &totals->list.items[i]);
}

static void note_current(struct heap_totals *totals)
{
	for (size_t i = 0; i < totals->list.count; i++) {
		struct heap_total *total = &totals->list.items[i];
		total->current = (struct heap_amount){total->objects, total->object_variance, total->bytes,
						      total->byte_variance, total->freed};
	}
}

int heap_table_read(const struct heap_table *table, struct heap_totals *ret)
{
	*ret = (struct heap_totals){.interval = table->interval,
				    .first_interval = table->first_interval,
				    .raised = table->raised,
				    .followed = table->programs->skeleton->bss->heap_live_count};
	int r = read_tables(table, ret);
	scale(table, ret);
	note_current(ret);
	if (r == 0)
		r = heap_ended_add_to(&table->ended, ret);
	if (r < 0)
		array_free(&ret->list);
	return MIN_OF(r, 0);
}

void heap_table_forget_ended(struct heap_table *table)
{
	heap_ended_clear(&table->ended);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static void raise_interval(struct heap_table *table)
{
	struct bolometer_bpf *s = table->programs->skeleton;
	struct heap_thinning context;
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &context, .ctx_size_in = sizeof(context));
	table->interval = MIN_OF(MAX_OF(2 * table->interval, (uint64_t)FIRST_RAISE), HEAP_MAX_INTERVAL);
	table->raised++;
	/* First, so that what comes from now on is a sample with it already. */
	s->data->heap_interval = context.interval = table->interval;
	if (bpf_prog_test_run_opts(bpf_program__fd(s->progs.thin_heap), &run) < 0)
		log_warning("the objects alive in the heap profile's table are not thinned: %s", strerror(errno));
	log_debug("heap: one sample in %llu bytes from now on, %llu objects are followed",
		  (unsigned long long)table->interval, (unsigned long long)s->bss->heap_live_count);
}

void heap_table_regulate(struct heap_table *table)
{
	const struct bolometer_bpf *s = table->programs->skeleton;
	if (s->bss->heap_live_count > table->blocks / 4 * 3)
		while (s->bss->heap_live_count > table->blocks / 2 && table->interval < HEAP_MAX_INTERVAL)
			raise_interval(table);
	if (table->site_count > table->sites / 4 * 3 && table->interval < HEAP_MAX_INTERVAL)
		raise_interval(table);
	table->site_count = 0; /* until they are counted anew */
}

static bool is_roomy(const struct heap_table *table, uint64_t sites)
{
	return table->interval > table->first_interval && sites <= table->sites / 8 &&
	       table->programs->skeleton->bss->heap_live_count <= table->blocks / 8;
}

/* Objects that are followed keep the interval with which they were taken. Where more come now, a table gets no fuller
 * than a quarter by those that are as old as the ones there are. */
static void lower_interval(struct heap_table *table, uint64_t sites, uint64_t now_ns)
{
	if (!is_roomy(table, sites)) {
		table->roomy_since_ns = 0;
	} else if (!table->roomy_since_ns) {
		table->roomy_since_ns = now_ns;
	} else if (now_ns - table->roomy_since_ns >= ROOMY_NS) {
		table->roomy_since_ns = now_ns;
		table->interval = MAX_OF(table->interval / 2, table->first_interval);
		table->programs->skeleton->data->heap_interval = table->interval;
		log_debug("heap: one sample in %llu bytes from now on", (unsigned long long)table->interval);
	}
}

/* ---- Ended programs -------------------------------------------------------------------------- */

/* The program that runs in each process now, as far as places tell. */
struct current {
	uint64_t process_start;
	uint32_t pid, exec_id;
	bool has_ended;
};

struct sweep {
	struct heap_table *table;
	ARRAY(struct current) programs;
	struct hash by_pid; /* -> index + 1 in `programs` */
	uint64_t sites;
	bool any_ended;
	ARRAY(struct heap_block_key) gone_blocks;
};

static bool is_older(const struct heap_site_key *key, const struct current *current)
{
	return key->process_start < current->process_start ||
	       (key->process_start == current->process_start && key->exec_id < current->exec_id);
}

static bool has_ended(const struct sweep *sweep, const struct heap_site_key *key)
{
	const uint64_t *index = hash_get(&sweep->by_pid, key->pid);
	if (!index)
		return false;
	const struct current *current = &sweep->programs.items[*index - 1];
	return current->has_ended || is_older(key, current);
}

static bool runs(const struct heap_table *table, const struct heap_site_key *key)
{
	if (table->runs)
		return table->runs(table->runs_userdata, key->pid, key->process_start);
	return kill((pid_t)key->pid, 0) == 0 || errno != ESRCH;
}

static int note_program(void *userdata, const void *key, const void *value)
{
	struct sweep *sweep = userdata;
	struct heap_site_key k;
	memcpy(&k, key, sizeof(k));
	sweep->sites++;
	struct current now = {.process_start = k.process_start, .pid = k.pid, .exec_id = k.exec_id};
	const uint64_t *index = hash_get(&sweep->by_pid, k.pid);
	if (!index) {
		now.has_ended = !runs(sweep->table, &k);
		sweep->any_ended |= now.has_ended;
		int r = array_add(&sweep->programs, now);
		return r < 0 ? r : hash_put(&sweep->by_pid, k.pid, sweep->programs.count);
	}
	struct current *known = &sweep->programs.items[*index - 1];
	if (k.process_start == known->process_start && k.exec_id == known->exec_id)
		return 0;
	sweep->any_ended = true;
	now.has_ended = known->has_ended;
	if (!is_older(&k, known))
		*known = now;
	return 0;
}

static int note_gone_block(void *userdata, const void *key, const void *value)
{
	struct sweep *sweep = userdata;
	const struct heap_block *block = value;
	struct heap_block_key k;
	memcpy(&k, key, sizeof(k));
	/* Those of windows leave with the windows: see heap_windows_update(). */
	return !block->window && has_ended(sweep, &block->site) ? array_add(&sweep->gone_blocks, k) : 0;
}

static void keep_total(struct heap_table *table, const struct heap_total *total)
{
	int places = bpf_map__fd(table->programs->skeleton->maps.heap_sites);
	struct heap_total kept = *total;
	kept.outliving = (struct heap_outliving){0}; /* is kept with the windows */
	heap_ended_add(&table->ended, &kept);
	bpf_map_delete_elem(places, &total->key);
}

void heap_table_remove_block(const struct programs *programs, const struct heap_block_key *key)
{
	struct bolometer_bpf *s = programs->skeleton;
	if (bpf_map_delete_elem(bpf_map__fd(s->maps.heap_live), key) == 0)
		__atomic_sub_fetch(&s->bss->heap_live_count, 1, __ATOMIC_RELAXED);
}

int heap_table_change_block(const struct programs *programs, const struct heap_block_key *key,
			    const struct heap_block *block)
{
	const struct bpf_map *map = programs->skeleton->maps.heap_live;
	return bpf_map_update_elem(bpf_map__fd(map), key, block, BPF_EXIST) < 0 ? -errno : 0;
}

size_t heap_table_room(const struct programs *programs)
{
	return bpf_map__max_entries(programs->skeleton->maps.heap_live);
}

/* Keeps the totals of what has ended, then takes it out of the kernel. */
static int take_ended(struct sweep *sweep)
{
	struct heap_table *table = sweep->table;
	const struct bolometer_bpf *s = table->programs->skeleton;
	struct heap_totals all = {0};
	int r = read_tables(table, &all);
	if (r == 0)
		r = for_each_entry(s->maps.heap_live, note_gone_block, sweep);
	scale(table, &all);
	for (size_t i = 0; r == 0 && i < all.list.count; i++) {
		const struct heap_total *total = &all.list.items[i];
		if (!has_ended(sweep, &total->key))
			continue;
		keep_total(table, total);
	}
	for (size_t i = 0; r == 0 && i < sweep->gone_blocks.count; i++)
		heap_table_remove_block(table->programs, &sweep->gone_blocks.items[i]);
	array_free(&all.list);
	return r;
}

struct dead_calls {
	ARRAY(uint32_t) threads;
};

/* A thread that was killed within a call has left it. */
static int note_dead_call(void *userdata, const void *key, const void *value)
{
	struct dead_calls *dead = userdata;
	const struct heap_call *call = value;
	uint32_t thread;
	memcpy(&thread, key, sizeof(thread));
	if (kill((pid_t)call->tid, 0) == 0 || errno != ESRCH)
		return 0;
	return array_add(&dead->threads, thread);
}

static void forget_dead_calls(const struct heap_table *table)
{
	const struct bpf_map *calls = table->programs->skeleton->maps.heap_pending;
	struct dead_calls dead = {0};
	int r = for_each_entry(calls, note_dead_call, &dead);
	if (r < 0)
		log_debug("heap: calls of dead threads stay in the table: %s", strerror(-r));
	for (size_t i = 0; i < dead.threads.count; i++)
		bpf_map_delete_elem(bpf_map__fd(calls), &dead.threads.items[i]);
	array_free(&dead.threads);
}

void heap_table_expire(struct heap_table *table, uint64_t now_ns)
{
	struct sweep sweep = {.table = table};
	int r = for_each_entry(table->programs->skeleton->maps.heap_sites, note_program, &sweep);
	table->site_count = sweep.sites;
	if (r == 0)
		lower_interval(table, sweep.sites, now_ns);
	if (r == 0 && sweep.any_ended)
		r = take_ended(&sweep);
	if (r < 0)
		log_debug("heap: ended processes stay in the tables: %s", strerror(-r));
	forget_dead_calls(table);
	array_free(&sweep.programs);
	array_free(&sweep.gone_blocks);
	hash_free(&sweep.by_pid);
}

/* ---- One process ----------------------------------------------------------------------------- */

struct fold {
	uint32_t pid; /* 0: all */
	uint64_t process_start;
	ARRAY(struct heap_block_key) blocks;
};

static bool is_meant(const struct fold *fold, const struct heap_site_key *site)
{
	return !fold->pid || (site->pid == fold->pid && site->process_start == fold->process_start);
}

static int note_block_of(void *userdata, const void *key, const void *value)
{
	struct fold *fold = userdata;
	const struct heap_block *block = value;
	struct heap_block_key k;
	memcpy(&k, key, sizeof(k));
	/* Those of windows are followed on: see heap_windows_survivors.c. */
	return !block->window && is_meant(fold, &block->site) ? array_add(&fold->blocks, k) : 0;
}

/* Keeps those that are meant, and leaves no others in the list. */
static void keep_meant(struct heap_table *table, const struct fold *fold, struct heap_totals *all)
{
	size_t kept = 0;
	for (size_t i = 0; i < all->list.count; i++) {
		if (!is_meant(fold, &all->list.items[i].key))
			continue;
		keep_total(table, &all->list.items[i]);
		all->list.items[kept++] = all->list.items[i];
	}
	all->list.count = kept;
}

void heap_table_fold(struct heap_table *table, uint32_t pid, uint64_t process_start, struct heap_totals *ret)
{
	struct fold fold = {.pid = pid, .process_start = process_start};
	struct heap_totals all = {.interval = table->interval};
	struct reader reader = {.totals = &all};
	const struct bolometer_bpf *s = table->programs->skeleton;
	int r = for_each_entry(s->maps.heap_sites, add_site, &reader);
	scale(table, &all);
	if (r < 0)
		all.list.count = 0;
	keep_meant(table, &fold, &all);
	if (r == 0)
		r = for_each_entry(s->maps.heap_live, note_block_of, &fold);
	for (size_t i = 0; i < fold.blocks.count; i++)
		heap_table_remove_block(table->programs, &fold.blocks.items[i]);
	if (r < 0) {
		table->unsettled++;
		log_warning("the heap profile of process %u (0: of all) up to now is not all kept: %s", pid,
			    strerror(-r));
	}
	array_free(&fold.blocks);
	hash_free(&reader.index);
	if (ret)
		*ret = all;
	else
		array_free(&all.list);
}

struct each_block {
	heap_block_callback callback;
	void *userdata;
};

static int tell_block(void *userdata, const void *key, const void *value)
{
	const struct each_block *each = userdata;
	return each->callback(each->userdata, key, value);
}

int heap_table_each_block(const struct programs *programs, heap_block_callback callback, void *userdata)
{
	struct each_block each = {callback, userdata};
	return for_each_entry(programs->skeleton->maps.heap_live, tell_block, &each);
}
