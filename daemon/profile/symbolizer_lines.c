/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of a binary's DWARF. What the cache has of them is read at once. Opening DWARF costs more than the addresses
 * asked of it: the others are asked for together, when enough have come or some have waited for long.
 */
#include "profile/symbolizer_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "binary/line_merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINES_GATHER_NS (2 * NS_PER_SECOND)
/* The few addresses that come late wait longer with each request of their binary: opening its DWARF again costs
 * the same as for the first thousand. Their functions have names meanwhile. */
#define LINES_WAIT_NS (30 * NS_PER_SECOND)
#define MAX_LINES_WAIT_DOUBLINGS 2
#define MIN_LINES ((size_t)64)

static void drop_known_addresses(struct binary_names *names)
{
	size_t kept = 0;
	for (size_t i = 0; i < names->not_asked.count; i++)
		if (!line_answers_know(&names->lines, names->not_asked.items[i]))
			names->not_asked.items[kept++] = names->not_asked.items[i];
	names->not_asked.count = kept;
	if (kept == 0)
		names->waiting_since = 0;
}

static void on_lines(void *userdata, int error, const struct artifact *artifact)
{
	struct binary_names *names = userdata;
	struct line_answers answers;
	struct text merged = {0};
	names->requests--;
	if (error < 0 && error != -ENOENT)
		log_debug("no lines of %s: %s", names->binary->path ? names->binary->path : "?",
			  strerror(-error));
	if (!artifact || line_answers_open(artifact, &answers) < 0 ||
	    line_answers_merge(names->line_bytes ? &names->lines : NULL, &answers, NULL, 0,
			       &merged) < 0) {
		text_free(&merged);
		return;
	}
	struct artifact whole = {.bytes = merged.bytes, .size = merged.length};
	uint64_t old = names->line_bytes ? names->lines.artifact.size : 0;
	if (line_answers_open(&whole, &answers) < 0 ||
	    (whole.size > old && !names_have_room(names, whole.size - old))) {
		text_free(&merged);
		return;
	}
	free(names->line_bytes);
	names->line_bytes = merged.bytes;
	names->lines = answers;
	drop_known_addresses(names);
	names_account(names);
}

static int dwarf_file(const struct binary_names *names)
{
	if (names->binary->facts.flags & (FACTS_HAS_DWARF | FACTS_IS_GO))
		return names->binary->file;
	return names->debug_file;
}

static int compare_addresses(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Asks for the lines of `count` addresses; of none: of those that the cache has. */
static void ask_lines(struct binary_names *names, size_t count)
{
	int file = dwarf_file(names);
	if (file < 0)
		return;
	int r = binary_store_request_lines(names->owner->store, file, names->supplementary_file,
					   names->not_asked.items, count, PARSER_WHEN_IDLE,
					   on_lines, names);
	if (r == 0)
		names->requests++;
	else
		log_debug("lines of %s: %s", names->binary->path ? names->binary->path : "?",
			  strerror(-r));
}

void names_read_lines(struct binary_names *names)
{
	ask_lines(names, 0);
}

void names_request_lines(struct binary_names *names)
{
	if (names->not_asked.count == 0)
		return;
	qsort(names->not_asked.items, names->not_asked.count, sizeof(uint64_t), compare_addresses);
	ask_lines(names, names->not_asked.count);
	names->asked += names->not_asked.count;
	names->line_requests++;
	names->not_asked.count = 0;
	names->waiting_since = 0;
}

int symbolizer_want_lines(struct symbolizer *s, struct binary *binary, uint64_t address)
{
	struct binary_names *names = binary->names;
	if (!names || (names->settled && dwarf_file(names) < 0) ||
	    hash_get(&names->wanted, address) || !names_have_room(names, 0))
		return 0;
	int r = hash_put(&names->wanted, address, 1);
	names_account(names);
	if (names->line_bytes && line_answers_know(&names->lines, address))
		return r;
	if (!names->waiting_since)
		names->waiting_since = monotonic_ns();
	return r < 0 ? r : array_add(&names->not_asked, address);
}

static bool lines_are_due(const struct binary_names *names, uint64_t now)
{
	uint64_t waited = now - names->waiting_since;
	unsigned int doublings = MIN_OF(names->line_requests, (unsigned int)MAX_LINES_WAIT_DOUBLINGS);
	return waited >= (uint64_t)LINES_WAIT_NS << doublings ||
	       (waited >= LINES_GATHER_NS &&
		names->not_asked.count >= MAX_OF(names->asked, MIN_LINES));
}

void symbolizer_request_lines(struct symbolizer *s, bool all)
{
	uint64_t now = monotonic_ns();
	for (size_t i = 0; i < s->all.count; i++) {
		struct binary_names *names = s->all.items[i];
		if (names->not_asked.count == 0 || (!all && !lines_are_due(names, now)))
			continue;
		names->lines_requested = true;
		if (names->settled)
			names_request_lines(names);
	}
}
