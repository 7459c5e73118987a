/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes up what an earlier process left in the spool. Segments are read in the order of their names,
 * records that are not done become the queue, in their order. What damage took is counted: the
 * numbers in the records around it tell how many payloads and samples it held.
 */
#include "base/file.h"
#include "export/spool_state.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A crafted spool of empty records must not take memory without bound. */
#define MAX_FOUND (2 * (size_t)SPOOL_MAX_PAYLOADS)
/* Halves of halves of one payload; a larger family is left as it is found. */
#define MAX_FAMILY 1024

struct recovery {
	struct spool *spool;
	struct segment *segment;
	struct record_header last; /* of the segments before */
	bool has_last;
	ARRAY(struct spool_entry) found;
};

/* -- records and damage --------------------------------------------------------------------- */

static bool is_done(const struct recovery *recovery, const struct record_header *header)
{
	return record_state_of(header->state, recovery->spool->boot) == RECORD_DONE;
}

static void count_lost(struct recovery *recovery, struct amount lost)
{
	struct spool_statistics *statistics = &recovery->spool->statistics;
	struct amount *sums[] = {&statistics->recovered, &statistics->dropped[DROP_DAMAGED]};
	for (size_t i = 0; i < ARRAY_LENGTH(sums); i++) {
		sums[i]->payloads += lost.payloads;
		sums[i]->samples += lost.samples;
		sums[i]->bytes += lost.bytes;
	}
}

static void on_damage(void *userdata, const struct record_header *before,
		      const struct record_header *after, const struct record_header *cut,
		      uint64_t bytes)
{
	struct recovery *recovery = userdata;
	struct amount lost = {.payloads = 1, .bytes = bytes};
	recovery->spool->statistics.damaged_bytes += bytes;
	if (!before && recovery->has_last &&
	    recovery->last.sequence + 1 == recovery->segment->first_sequence)
		before = &recovery->last;
	uint64_t expected = before ? before->sequence + 1 : recovery->segment->first_sequence;
	if (cut) {
		if (is_done(recovery, cut))
			return;
		lost.samples = cut->samples;
	} else if (after) {
		/* Payloads are done in their order: between two that are, none waited. */
		if (after->sequence <= expected ||
		    (before && is_done(recovery, before) && is_done(recovery, after)))
			return;
		lost.payloads = after->sequence - expected;
		uint64_t end = before ? before->samples_before + before->samples : UINT64_MAX;
		if (end <= after->samples_before)
			lost.samples = after->samples_before - end;
	}
	count_lost(recovery, lost);
}

static int on_record(void *userdata, const struct record_header *header, uint64_t offset)
{
	struct recovery *recovery = userdata;
	struct spool *spool = recovery->spool;
	spool->next_sequence = MAX_OF(spool->next_sequence, header->sequence + 1);
	spool->next_order = MAX_OF(spool->next_order, header->order + 1);
	spool->samples_written = header->samples_before + header->samples;
	recovery->last = *header;
	recovery->has_last = true;

	enum record_state state = record_state_of(header->state, spool->boot);
	if (state == RECORD_DONE && !header->replaces)
		return 0;
	if (recovery->found.count >= MAX_FOUND) {
		amount_add(&spool->statistics.recovered, header);
		amount_add(&spool->statistics.dropped[DROP_QUEUE_FULL], header);
		segment_mark_done(recovery->segment, offset);
		return 0;
	}
	recovery->segment->live += state != RECORD_DONE;
	return array_add(&recovery->found, (struct spool_entry){
		.header = *header, .segment = recovery->segment, .offset = offset,
		.state = state, .is_gone = state == RECORD_DONE});
}

/* -- segments ------------------------------------------------------------------------------- */

static int compare_segments(const void *a, const void *b)
{
	const struct segment *x = *(struct segment *const *)a, *y = *(struct segment *const *)b;
	return x->first_sequence < y->first_sequence ? -1 : x->first_sequence > y->first_sequence;
}

static int open_segments(struct spool *spool)
{
	int fd = dup(spool->directory);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	if (!listing) {
		close_fd(fd);
		return -errno;
	}
	struct dirent *entry;
	int r = 0;
	while (r == 0 && (entry = readdir(listing))) {
		struct segment parsed, *segment;
		if (!segment_parse_name(entry->d_name, &parsed))
			continue;
		if (segment_open(spool->directory, entry->d_name, &segment) < 0) {
			spool->statistics.disk_failures++;
			continue;
		}
		r = array_add(&spool->segments, segment);
		if (r < 0)
			segment_free(segment);
	}
	closedir(listing);
	if (spool->segments.count)
		qsort(spool->segments.items, spool->segments.count,
		      sizeof(*spool->segments.items), compare_segments);
	return r;
}

static int scan_segments(struct recovery *recovery)
{
	struct spool *spool = recovery->spool;
	struct segment_visitor visitor = {on_record, on_damage, recovery};
	for (size_t i = 0; i < spool->segments.count; i++) {
		struct segment *segment = spool->segments.items[i];
		recovery->segment = segment;
		int r = segment_scan(segment, &visitor);
		if (r == -ENOMEM)
			return r;
		spool->statistics.disk_failures += r < 0;
		segment->is_broken |= r < 0;
		spool->newest = segment->is_broken ? NULL : segment;
	}
	return 0;
}

/* -- the whole and its halves --------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
	const struct spool_entry *x = a, *y = b;
	if (x->header.order != y->header.order)
		return x->header.order < y->header.order ? -1 : 1;
	return x->header.sequence < y->header.sequence ? -1 : x->header.sequence > y->header.sequence;
}

static void take_back(struct spool_entry *entry)
{
	if (entry->is_gone)
		return;
	entry->is_gone = true;
	entry->segment->live--;
	segment_mark_done(entry->segment, entry->offset);
}

static bool is_intact(const struct spool_entry *half)
{
	_cleanup_free_ char *bytes = NULL;
	return half->is_gone || spool_load(half, &bytes) == 0;
}

/* When both halves are there the whole goes; when one is missing it stays, and the other goes. */
static void settle_whole(struct spool_entry *family, size_t count, struct spool_entry *whole)
{
	unsigned int halves = 0;
	for (size_t i = 0; i < count; i++)
		if (family[i].header.replaces == whole->header.sequence && is_intact(&family[i]))
			halves |= 1u << family[i].header.half;
	if (halves == 3)
		take_back(whole);
	for (size_t i = 0; halves != 3 && i < count; i++)
		if (family[i].header.replaces == whole->header.sequence)
			take_back(&family[i]);
}

static void settle_families(struct recovery *recovery)
{
	struct spool_entry *items = recovery->found.items;
	size_t count = recovery->found.count, end;
	for (size_t start = 0; start < count; start = end) {
		for (end = start + 1; end < count; end++)
			if (items[end].header.order != items[start].header.order)
				break;
		if (end - start < 2 || end - start > MAX_FAMILY)
			continue;
		for (size_t i = start; i < end; i++)
			if (!items[i].is_gone)
				settle_whole(items + start, end - start, &items[i]);
	}
}

static int take_up(struct recovery *recovery)
{
	struct spool *spool = recovery->spool;
	for (size_t i = 0; i < recovery->found.count; i++) {
		struct spool_entry *entry = &recovery->found.items[i];
		if (entry->is_gone)
			continue;
		entry->id = spool->next_id++;
		int r = spool_insert(spool, spool->entries.count, entry);
		if (r < 0)
			return r;
		amount_add(&spool->statistics.recovered, &entry->header);
	}
	return 0;
}

int spool_recover(struct spool *spool)
{
	struct recovery recovery = {.spool = spool};
	int r = open_segments(spool);
	if (r == 0)
		r = scan_segments(&recovery);
	if (r == 0 && recovery.found.count) {
		qsort(recovery.found.items, recovery.found.count, sizeof(*recovery.found.items),
		      compare_entries);
		settle_families(&recovery);
		r = take_up(&recovery);
	}
	array_free(&recovery.found);
	if (r == 0)
		spool_remove_done(spool, false);
	return r;
}
