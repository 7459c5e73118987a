/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. */
#include "world.h"

#include <errno.h>
#include <string.h>

/* The builder merges pushes and pops on x86-64 only. */
#if defined(__x86_64__)
#define REPLAY_MERGES true
#else
#define REPLAY_MERGES false
#endif

void world_free(struct world *world)
{
	for (size_t i = 0; i < world->files.count; i++) {
		free(world->files.items[i].name);
		unwind_image_free(&world->files.items[i].image);
	}
	for (size_t i = 0; i < world->chunks.count; i++)
		free(world->chunks.items[i]);
	array_free(&world->mappings);
	array_free(&world->files);
	array_free(&world->chunks);
	array_free(&world->binaries);
	free(world->kernel);
	*world = (struct world){0};
}

struct world_file *world_file(struct world *world, const char *name)
{
	for (size_t i = 0; i < world->files.count; i++)
		if (!strcmp(world->files.items[i].name, name))
			return &world->files.items[i];
	struct world_file file = {.name = strdup(name)};
	if (!file.name)
		return NULL;
	file.binary.entry = (struct binary_entry){.slot = SLOT_FIRST_FREE + world->files.count,
						  .state = BINARY_FRAME_POINTERS,
						  .noticed = 1};
	if (!strcmp(name, "[vdso]"))
		file.binary.entry.slot = SLOT_VDSO;
	else
		file.binary.key = (struct binary_key){.inode = 1000 + world->files.count,
						      .mtime_ns = 1600000000000000007ULL,
						      .size = 1 << 20, .device = 8 << 20 | 1};
	if (array_add(&world->files, file) < 0) {
		free(file.name);
		return NULL;
	}
	return &world->files.items[world->files.count - 1];
}

int world_add_table(struct world *world, struct world_file *file, struct unwind_image *image)
{
	uint32_t unit = world->chunks.count * ARENA_CHUNK_UNITS;
	for (size_t at = 0; at < image->body_size; at += ARENA_CHUNK_SIZE) {
		char *chunk = calloc(1, ARENA_CHUNK_SIZE);
		if (!chunk || array_add(&world->chunks, chunk) < 0) {
			free(chunk);
			return -ENOMEM;
		}
		memcpy(chunk, image->body + at, MIN_OF(image->body_size - at, ARENA_CHUNK_SIZE));
	}
	const struct unwind_table_header *h = &image->header;
	struct binary_entry *entry = &file->binary.entry;
	entry->state = BINARY_READY;
	entry->palette_count = h->palette_count;
	entry->index = unit + h->index_offset / ARENA_UNIT;
	entry->rows = unit + h->rows_offset / ARENA_UNIT;
	entry->palette = unit + h->palette_offset / ARENA_UNIT;
	entry->first_page = h->first_page;
	entry->page_count = h->page_count;
	file->image = *image;
	*image = (struct unwind_image){0};
	return 0;
}

/* Rules of one page are a range of the builder's. Returns how many, or -errno. */
static int add_page(struct unwind_rows *rows, const struct world_rule *rules, size_t count)
{
	uint64_t start = rules->offset;
	uint64_t end = (start | (UNWIND_PAGE_SIZE - 1)) + 1;
	size_t i = 0;
	int r = unwind_rows_begin(rows, start, end - start, UNWIND_FROM_EH_FRAME) ? 0 : -ERANGE;
	for (; i < count && rules[i].offset < end && r == 0; i++)
		r = unwind_rows_add(rows, rules[i].offset, rules[i].rule);
	if (r == 0)
		r = unwind_rows_end(rows);
	return r < 0 ? r : (int)i;
}

int world_add_rules(struct world *world, struct world_file *file, const struct world_rule *rules,
		    size_t count)
{
	struct unwind_segment all = {0, UINT32_MAX, 0};
	struct unwind_image image = {0};
	_cleanup_free_ struct unwind_rows *rows = calloc(1, sizeof(*rows));
	uint32_t none;
	if (!rows)
		return -ENOMEM;
	int r = array_add(&rows->segments, all);
	if (r == 0)
		r = unwind_rows_rule(rows, 0, &none);
	for (size_t i = 0; i < count && r == 0;) {
		int added = add_page(rows, rules + i, count - i);
		if (added < 0)
			r = added;
		else
			i += (size_t)added;
	}
	if (r == 0)
		r = unwind_layout(rows, REPLAY_MERGES, (struct unwind_rule){0}, &image);
	if (r == 0)
		r = world_add_table(world, file, &image);
	unwind_image_free(&image);
	unwind_rows_free(rows);
	return r;
}

struct unwind_rule world_rule_at(const struct world_file *file, uint64_t offset)
{
	struct unwind_table table = {&file->image.header, file->image.body, file->image.body_size};
	return file->image.body ? unwind_table_find(&table, offset) : (struct unwind_rule){0};
}

int world_add_mapping(struct world *world, uint64_t start, uint64_t end, uint64_t offset,
		      bool executable, const struct world_file *file)
{
	struct replay_mapping mapping = {.start = start, .end = end, .offset = offset,
					 .executable = executable};
	if (file) {
		mapping.is_vdso = file->binary.entry.slot == SLOT_VDSO;
		mapping.has_file = !mapping.is_vdso;
		mapping.key = file->binary.key;
	}
	return array_add(&world->mappings, mapping);
}

static int compare_mappings(const void *a, const void *b)
{
	const struct replay_mapping *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

int world_finish(struct world *world, bool red_black_tree)
{
	if (world->mappings.count)
		qsort(world->mappings.items, world->mappings.count,
		      sizeof(*world->mappings.items), compare_mappings);
	free(world->kernel);
	world->kernel = calloc(1, kernel_objects_size(world->mappings.count));
	world->binaries.count = 0;
	int r = world->kernel ? 0 : -ENOMEM;
	if (r == 0) /* and room for two that the walk meets first */
		r = array_reserve(&world->binaries, world->files.count + 2);
	for (size_t i = 0; i < world->files.count && r == 0; i++)
		r = array_add(&world->binaries, world->files.items[i].binary);
	if (r < 0)
		return r;
	struct replay_world *replay = &world->replay;
	replay->red_black_tree = red_black_tree;
	replay->chunks = world->chunks.items;
	replay->chunk_count = world->chunks.count;
	replay->binaries = world->binaries.items;
	replay->binary_count = world->binaries.count;
	replay->binary_capacity = world->binaries.count + 2;
	kernel_objects_make(replay, world->kernel, world->mappings.items, world->mappings.count);
	replay_reset();
	return 0;
}

void world_change(struct world *world)
{
	memset(world->kernel, 0, kernel_objects_size(world->mappings.count));
	world->replay.changes++;
	kernel_objects_make(&world->replay, world->kernel, world->mappings.items, world->mappings.count);
}

uint64_t world_frame_word(const struct world *world, uint64_t address)
{
	for (size_t i = 0; i < world->mappings.count; i++) {
		const struct replay_mapping *m = &world->mappings.items[i];
		if (address - m->start >= m->end - m->start || !m->executable)
			continue;
		if (!m->has_file && !m->is_vdso)
			break;
		for (size_t f = 0; f < world->files.count; f++) {
			const struct replay_binary *b = &world->files.items[f].binary;
			if (!memcmp(&b->key, &m->key, sizeof(m->key)))
				return FRAME_WORD_FILE(b->entry.slot,
						       address - m->start + m->offset);
		}
	}
	return FRAME_WORD_ADDRESS(address);
}
