/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what is known of one process's JIT code, and how far the files it comes from were read. An update is a
 * loop of readings: each copies an excerpt of either file, and each excerpt is answered by the parser child and merged.
 * The tails move on when the answer is there, so that an excerpt whose child died is read again.
 */
#include "process/jit_map.h"

#include "base/file.h"
#include "process/proc_text.h"

#include <errno.h>
#include <string.h>

#define MEMORY_LIMIT (32U << 20) /* bytes a process */
/* An excerpt that is lost so often is what kills the parser child. */
#define MAX_LOST 3

struct jit_map {
	struct jit_known *known; /* NULL: a thread hangs with it, and the map was given up */
	struct jit_identity identity;
	struct jit_tail tails[JIT_FORMAT_COUNT];
	struct jit_pending_lines pending;
	char *dump_path; /* as the process sees it; NULL: none */
	uint64_t previous_update; /* the last time everything was read */
	struct jit_statistics statistics;
	uint64_t added; /* in all */
	bool is_full;	/* nothing more is read; what stands in the files is unread */

	/* Of the update that is under way: */
	enum jit_step step;
	struct jit_excerpt excerpts[JIT_FORMAT_COUNT]; /* not answered yet */
	uint64_t unread[JIT_FORMAT_COUNT];
	struct jit_merging *merging; /* to be run */
	uint64_t now, added_before;
	size_t byte_budget;
	int result;
	bool failed; /* nothing more is read in this update */
};

struct jit_map *jit_map_of(struct process *process)
{
	if (process->jit)
		return process->jit;
	struct jit_map *map = calloc(1, sizeof(*map));
	if (!map)
		return NULL;
	map->known = jit_known_new(MEMORY_LIMIT);
	if (!map->known) {
		free(map);
		return NULL;
	}
	map->pending.lines = JIT_NO_LINES;
	for (int i = 0; i < JIT_FORMAT_COUNT; i++)
		map->excerpts[i].file = -1;
	process->jit = map;
	return map;
}

struct jit_map *jit_map_free(struct jit_map *map)
{
	if (!map)
		return NULL;
	for (int i = 0; i < JIT_FORMAT_COUNT; i++)
		close_fd(map->excerpts[i].file);
	jit_merging_free(map->merging);
	jit_known_free(map->known);
	free(map->dump_path);
	free(map);
	return NULL;
}

void jit_map_set_dump(struct jit_map *map, const char *path)
{
	if (map->dump_path && !strcmp(map->dump_path, path))
		return;
	char *copy = strndup(path, path_length_without_deleted(path, strlen(path)));
	if (!copy)
		return;
	free(map->dump_path);
	map->dump_path = copy;
}

/* ---- Updates --------------------------------------------------------------------------------- */

void jit_map_begin(struct jit_map *map, uint64_t now, size_t byte_budget)
{
	if (map->step != JIT_IDLE || map->statistics.given_up)
		return;
	map->step = JIT_READ;
	map->now = now;
	map->byte_budget = map->is_full ? 0 : byte_budget;
	map->added_before = map->added;
	map->failed = false;
	map->result = -ENOENT;
	memset(map->unread, 0, sizeof(map->unread));
}

enum jit_step jit_map_step(const struct jit_map *map)
{
	return map->step;
}

/* Of the files as they were at the last look. */
static uint64_t bytes_to_come(const struct jit_map *map)
{
	uint64_t bytes = 0;
	for (int i = 0; i < JIT_FORMAT_COUNT; i++)
		bytes += map->tails[i].given_up ? 0 : map->unread[i];
	return bytes;
}

static void end(struct jit_map *map)
{
	struct jit_statistics *statistics = &map->statistics;
	statistics->bytes_unread = map->unread[JIT_DUMP] + map->unread[JIT_PERF_MAP];
	if (bytes_to_come(map) == 0) /* what comes next is written after this look */
		map->previous_update = map->now;
	statistics->result = map->added != map->added_before ? 1 : map->result;
	map->step = JIT_IDLE;
}

struct jit_reading *jit_map_read(struct jit_map *map, const struct process *process,
				 const char *proc_path)
{
	struct jit_reading *reading = calloc(1, sizeof(*reading));
	if (reading) {
		*reading = (struct jit_reading){
			.process = {.pid = process->pid, .begin = process->begin,
				    .end = process->end, .start_time = process->start_time},
			.proc_path = proc_path,
			.byte_budget = map->byte_budget,
			.identity = map->identity,
			.dump_path = map->dump_path ? strdup(map->dump_path) : NULL,
		};
		memcpy(reading->tails, map->tails, sizeof(map->tails));
		for (int i = 0; i < JIT_FORMAT_COUNT; i++)
			reading->excerpts[i].file = -1;
	}
	if (reading && (reading->dump_path || !map->dump_path))
		return reading;
	map->result = -ENOMEM;
	end(map);
	return jit_reading_free(reading);
}

/* What is left of a file: less than a window is a line or record still being written. */
static void note_rest(struct jit_map *map, enum jit_format format, uint64_t bytes)
{
	const struct jit_tail *tail = &map->tails[format];
	bool is_over = tail->state & (JIT_CLOSED | JIT_BROKEN);
	map->unread[format] = is_over || bytes < JIT_WINDOW ? 0 : bytes;
}

/* Of the dump first: a perf map says more of what both have. */
static struct jit_excerpt *next_excerpt(struct jit_excerpt excerpts[static JIT_FORMAT_COUNT])
{
	if (excerpts[JIT_DUMP].file >= 0)
		return &excerpts[JIT_DUMP];
	return excerpts[JIT_PERF_MAP].file >= 0 ? &excerpts[JIT_PERF_MAP] : NULL;
}

/* The next excerpt; when there is none, the next reading; when that makes no sense, the end. */
static void go_on(struct jit_map *map)
{
	bool has_excerpt = next_excerpt(map->excerpts);
	map->step = has_excerpt ? JIT_PARSE : JIT_READ;
	if (!has_excerpt && (map->failed || bytes_to_come(map) == 0 || map->byte_budget < JIT_WINDOW))
		end(map);
}

/* 0 when there is any such file. */
static int result_of(const struct jit_reading *reading)
{
	int dump = reading->results[JIT_DUMP], perf_map = reading->results[JIT_PERF_MAP];
	return dump == 0 || perf_map == 0 ? 0 : perf_map;
}

void jit_map_take_reading(struct jit_map *map, struct jit_reading *reading)
{
	map->identity = reading->identity;
	map->result = result_of(reading);
	map->byte_budget = reading->byte_budget;
	if (reading->tails[JIT_DUMP].offset == 0)
		map->pending.lines = JIT_NO_LINES;
	memcpy(map->tails, reading->tails, sizeof(map->tails));
	for (int i = 0; i < JIT_FORMAT_COUNT; i++) {
		map->excerpts[i] = reading->excerpts[i];
		reading->excerpts[i].file = -1;
		if (map->excerpts[i].file < 0)
			note_rest(map, i, map->excerpts[i].source.available);
	}
	if (next_excerpt(map->excerpts))
		go_on(map);
	else
		end(map);
}

void jit_map_give_up(struct jit_map *map)
{
	map->statistics.given_up = 1;
	if (map->step == JIT_MERGE)
		map->known = jit_known_free(map->known); /* who hangs has the lock */
	for (int i = 0; i < JIT_FORMAT_COUNT; i++)
		map->excerpts[i].file = close_fd(map->excerpts[i].file);
	end(map);
}

const struct jit_excerpt *jit_map_excerpt(const struct jit_map *map)
{
	const struct jit_excerpt *dump = &map->excerpts[JIT_DUMP];
	return dump->file >= 0 ? dump : &map->excerpts[JIT_PERF_MAP];
}

static void lose(struct jit_map *map, const struct jit_excerpt *excerpt)
{
	struct jit_tail *tail = &map->tails[excerpt->source.format];
	map->unread[excerpt->source.format] = excerpt->source.available;
	map->statistics.readings_lost++;
	map->failed = true;
	tail->given_up = ++tail->lost_count >= MAX_LOST;
}

static void finish_excerpt(struct jit_map *map, struct jit_excerpt *excerpt)
{
	excerpt->file = close_fd(excerpt->file);
	go_on(map);
}

bool jit_map_answer(struct jit_map *map, int error, const struct artifact *artifact,
		    void (*release)(const struct artifact *artifact))
{
	struct jit_excerpt *excerpt = next_excerpt(map->excerpts);
	struct jit_table table;
	if (!error && jit_table_open(artifact, &excerpt->source, excerpt->size, &table) == 0)
		map->merging = jit_merging_new(map->known, artifact, release);
	if (!map->merging) {
		lose(map, excerpt);
		finish_excerpt(map, excerpt);
		return false;
	}
	map->merging->table = table;
	map->merging->format = excerpt->source.format;
	map->merging->times = (struct jit_merge_times){map->previous_update, map->now};
	map->merging->pending = map->pending;
	map->step = JIT_MERGE;
	return true;
}

struct jit_merging *jit_map_merge(struct jit_map *map)
{
	return take_pointer(map->merging);
}

void jit_map_take_merging(struct jit_map *map, const struct jit_merging *merging)
{
	struct jit_statistics *statistics = &map->statistics;
	struct jit_excerpt *excerpt = next_excerpt(map->excerpts);
	const struct jit_summary *summary = merging->table.summary;
	struct jit_tail *tail = &map->tails[merging->format];
	statistics->bad_lines += summary->bad + merging->bad;
	statistics->bytes_read += MIN_OF(summary->used, excerpt->size);
	statistics->entries = merging->entries;
	statistics->dropped = merging->dropped;
	map->added = merging->added;
	map->is_full = merging->is_full;
	if (map->is_full)
		map->byte_budget = 0;
	map->pending = merging->pending;
	if (merging->result < 0)
		map->result = merging->result;
	tail->state = summary->state;
	jit_tail_advance(tail, excerpt->file, excerpt->size, summary->used);
	note_rest(map, merging->format, excerpt->source.available - summary->used);
	finish_excerpt(map, excerpt);
}

/* ---- Looking up ------------------------------------------------------------------------------ */

static void find_line(const struct jit_codes *codes, const struct jit_piece *piece,
		      uint64_t address, struct jit_symbol *ret)
{
	ret->file = "";
	ret->line = 0;
	if (piece->lines == JIT_NO_LINES)
		return;
	struct jit_line_range range = codes->line_ranges.items[piece->lines];
	const struct jit_line *lines = codes->lines.items + range.first;
	uint64_t offset = address - (piece->start - piece->lead);
	size_t low = 0, high = range.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (lines[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low > 0) {
		ret->file = strings_get(&codes->names, lines[low - 1].file);
		ret->line = lines[low - 1].line;
	}
}

bool jit_map_find(const struct jit_map *map, uint64_t address, uint64_t time,
		  struct jit_symbol *ret)
{
	struct jit_piece piece;
	if (!map->known)
		return false;
	const struct jit_codes *codes = &map->known->codes;
	pthread_mutex_lock(&map->known->lock);
	if (!jit_codes_find(codes, address, time, &piece)) {
		jit_map_release(map);
		return false;
	}
	ret->name = strings_get(&codes->names, piece.name);
	ret->start = piece.start - piece.lead;
	ret->size = piece.code_size;
	ret->generation = piece.generation;
	find_line(codes, &piece, address, ret);
	return true;
}

void jit_map_release(const struct jit_map *map)
{
	pthread_mutex_unlock(&map->known->lock);
}

void jit_map_get_statistics(const struct jit_map *map, struct jit_statistics *ret)
{
	*ret = map->statistics;
}
