/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser child says of a binary: its facts, its unwind table, where to probe its allocators.
 *
 * Order matters for one thing only: an entry is made ready after its table is in the arena, and the
 * epoch moves after the entry changed, so that no CPU can use a table that is not complete.
 */
#include "collect/binaries_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "binary/unwind_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A file over which one parser child after the other was killed may be why, by its hunger for memory. */
#define MAX_INTERRUPTIONS 8
#define RETRY_PAUSE_NS (5 * NS_PER_SECOND)

/* ---- Allocators ------------------------------------------------------------------------------ */

/* Where to probe its allocators, if it has any. */
static void on_allocators(void *userdata, int error, const struct artifact *artifact)
{
	struct binary *binary = userdata;
	struct allocator_table table;
	binary->owner->pending--;
	binary->awaits_table = false;
	if (error)
		log_debug("no allocators of %s: %s", binary->path ? binary->path : "?", strerror(-error));
	if (!artifact || binary->is_leaving || binary->probes ||
	    allocator_table_open(artifact, &table) < 0)
		return;
	size_t count = MIN_OF(table.probe_count, (size_t)ALLOCATOR_MAX_PROBES);
	binary->probes = calloc(count + 1, sizeof(*binary->probes));
	if (!binary->probes)
		return;
	memcpy(binary->probes, table.probes, count * sizeof(*binary->probes));
	binary->probe_count = (uint32_t)count;
}

static void request_allocators(struct binary *binary)
{
	struct binaries *binaries = binary->owner;
	if (!binaries->wants_allocators || binary->file < 0 || binary->probes || binary->awaits_table ||
	    binary_store_request_allocators(binaries->store, binary->file, PARSER_SOON, on_allocators,
					    binary) < 0)
		return;
	binaries->pending++;
	binary->awaits_table = true;
}

void binaries_want_allocators(struct binaries *binaries)
{
	binaries->wants_allocators = true;
	for (size_t i = 0; i < binaries->list.count; i++)
		request_allocators(binaries->list.items[i]);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

/* Copies a checked table into the arena and describes it in *entry. Returns 0 or -errno. */
static int place_table(struct binary *binary, const struct unwind_table *table,
		       struct binary_entry *entry)
{
	struct binaries *binaries = binary->owner;
	uint32_t unit;
	int r = arena_add(&binaries->arena, table->body, table->body_size, &unit);
	if (r < 0)
		return r;
	const struct unwind_table_header *h = table->header;
	*entry = (struct binary_entry){
		.state = BINARY_READY,
		.noticed = 1,
		.palette_count = (u16)MIN_OF(h->palette_count, UINT16_MAX),
		.index = unit + h->index_offset / ARENA_UNIT,
		.rows = unit + h->rows_offset / ARENA_UNIT,
		.palette = unit + h->palette_offset / ARENA_UNIT,
		.first_page = h->first_page,
		.page_count = h->page_count,
	};
	binary->arena_unit = unit;
	binary->arena_size = table->body_size;
	binaries->statistics.table_bytes += table->body_size;
	binaries->statistics.raw_rows += h->raw_rows;
	return 0;
}

static int take_facts(struct binary *binary, const struct artifact *artifact)
{
	size_t size;
	const void *facts = artifact_section(artifact, SECTION_FACTS, &size);
	int r = facts_check(facts, size);
	if (r == 0) {
		memcpy(&binary->facts, facts, sizeof(binary->facts));
		binary->has_facts = true;
		binary->owner->with_contexts += binary->facts.context.access != THREAD_VARIABLE_NONE;
	}
	return r;
}

static void note_interruption(struct binary *binary, bool interrupted)
{
	struct binaries *binaries = binary->owner;
	binary->interrupted = interrupted && binary->interruptions++ < MAX_INTERRUPTIONS;
	if (!binary->interrupted)
		return;
	binaries->interrupted++;
	binaries->retry_not_before = monotonic_ns() + RETRY_PAUSE_NS;
}

static void on_unwind(void *userdata, int error, const struct artifact *artifact)
{
	struct binary *binary = userdata;
	struct binaries *binaries = binary->owner;
	struct binary_entry entry = {.state = BINARY_FRAME_POINTERS, .noticed = 1};
	struct unwind_table table;

	binaries->pending--;
	binary->awaits_table = false;
	if (binary->is_leaving)
		return;
	binary->error = artifact ? take_facts(binary, artifact) : error;
	int r = binary->error ? binary->error : unwind_table_check(artifact, &table);
	if (r == 0)
		r = place_table(binary, &table, &entry);
	if (r == 0)
		binaries->statistics.ready++;
	else
		binaries->statistics.frame_pointers_only++;
	binary->no_room = r == -ENOSPC;
	note_interruption(binary, r == -EINTR);
	if (r == -ENOSPC)
		binaries->statistics.arena_full++;
	else if (r < 0 && r != -ENODATA)
		binaries->statistics.failed++;
	if (r < 0 && r != -ENODATA)
		log_debug("no unwind table for %s: %s", binary->path ? binary->path : "?",
			  strerror(-r));
	binary_publish(binary, &entry);
	request_allocators(binary);
}

void binary_request_table(struct binary *binary, enum parser_priority priority)
{
	struct binaries *binaries = binary->owner;
	int r = binary->file < 0 ? -ENOENT
				 : binary_store_request_unwind(binaries->store, binary->file, priority,
							       on_unwind, binary);
	if (r == 0) {
		binaries->pending++;
		binary->awaits_table = true;
		return;
	}
	binary->error = r;
	binaries->statistics.unopened++;
	struct binary_entry entry = {.state = BINARY_FRAME_POINTERS, .noticed = 1};
	binary_publish(binary, &entry);
}

void binaries_retry_interrupted(struct binaries *binaries)
{
	if (!binaries->interrupted || monotonic_ns() < binaries->retry_not_before)
		return;
	binaries->interrupted = 0;
	for (size_t i = 0; i < binaries->list.count; i++) {
		struct binary *binary = binaries->list.items[i];
		if (!binary->interrupted || binary->is_leaving)
			continue;
		binary->interrupted = false;
		binaries->statistics.frame_pointers_only--;
		binary_request_table(binary, PARSER_AHEAD);
	}
}
