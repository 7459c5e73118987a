/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue in memory: an entry for each payload, with its bytes only while the disk does not have them. What leaves
 * it is marked as gone first, since entries lie in an array, and is counted at once.
 */
#include "export/spool_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct spool_entry *spool_first(struct spool *spool)
{
	while (spool->first < spool->entries.count &&
	       spool->entries.items[spool->first].is_gone)
		spool->first++;
	return spool->first < spool->entries.count ? &spool->entries.items[spool->first] : NULL;
}

struct spool_entry *spool_find_out(struct spool *spool, uint64_t id)
{
	if (!id || id != spool->out)
		return NULL;
	for (size_t i = spool->first; i < spool->entries.count; i++)
		if (spool->entries.items[i].id == id && !spool->entries.items[i].is_gone)
			return &spool->entries.items[i];
	return NULL;
}

void spool_compact(struct spool *spool)
{
	size_t kept = 0;
	if (spool->entries.count < 64 ||
	    spool->statistics.waiting.payloads * 2 > spool->entries.count)
		return;
	for (size_t i = spool->first; i < spool->entries.count; i++)
		if (!spool->entries.items[i].is_gone)
			spool->entries.items[kept++] = spool->entries.items[i];
	spool->entries.count = kept;
	spool->first = 0;
}

int spool_insert(struct spool *spool, size_t index, const struct spool_entry *entry)
{
	int r = array_reserve(&spool->entries, spool->entries.count + 1);
	if (r < 0)
		return r;
	struct spool_entry *at = &spool->entries.items[index];
	memmove(at + 1, at, (spool->entries.count - index) * sizeof(*at));
	*at = *entry;
	spool->entries.count++;
	amount_add(&spool->statistics.waiting, &entry->header);
	if (entry->bytes)
		amount_add(&spool->statistics.in_memory, &entry->header);
	return 0;
}

void spool_forget(struct spool *spool, struct spool_entry *entry)
{
	if (entry->is_gone)
		return;
	entry->is_gone = true;
	amount_subtract(&spool->statistics.waiting, &entry->header);
	if (entry->bytes)
		amount_subtract(&spool->statistics.in_memory, &entry->header);
	free(take_pointer(entry->bytes));
	if (entry->segment) {
		if (!segment_mark_done(entry->segment, entry->offset))
			spool->statistics.unmarked++;
		entry->segment->live--;
		entry->segment = NULL;
	}
}

void spool_discard(struct spool *spool, struct spool_entry *entry, enum drop_reason reason)
{
	amount_add(&spool->statistics.dropped[reason], &entry->header);
	spool_forget(spool, entry);
}

int spool_load(const struct spool_entry *entry, char **ret_bytes)
{
	if (entry->segment)
		return segment_read(entry->segment, entry->offset, &entry->header, ret_bytes);
	char *copy = malloc(entry->header.size ? entry->header.size : 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, entry->bytes, entry->header.size);
	*ret_bytes = copy;
	return 0;
}

void spool_enforce_limits(struct spool *spool)
{
	struct spool_statistics *statistics = &spool->statistics;
	for (size_t i = spool->first; i < spool->entries.count; i++) {
		struct spool_entry *entry = &spool->entries.items[i];
		bool too_many = statistics->waiting.payloads > SPOOL_MAX_PAYLOADS;
		if (!too_many && statistics->in_memory.bytes <= spool->max_memory_bytes)
			break;
		if (!entry->is_gone && entry->id != spool->out && (too_many || entry->bytes))
			spool_discard(spool, entry,
				      too_many || !spool->path ? DROP_QUEUE_FULL : DROP_DISK);
	}
	spool_first(spool);
}
