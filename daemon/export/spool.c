/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See spool.h: opening, closing, and what goes in and out. Every payload passes through memory: the way of a good disk and
 * that of a disk that was full for an hour are the same, spool_write_out().
 */
#include "export/spool.h"

#include "base/file.h"
#include "export/spool_state.h"

#include <errno.h>
#include <string.h>

#define AHEAD_BYTES ((uint64_t)8 << 20)
#define SEGMENT_BYTES ((uint64_t)16 << 20)

const char *drop_reason_name(enum drop_reason reason)
{
	static const char *const names[DROP_REASON_COUNT] = {
		[DROP_QUEUE_FULL] = "queue_full", [DROP_DISK] = "disk",
		[DROP_REJECTED] = "rejected",	  [DROP_TOO_LARGE] = "too_large",
		[DROP_DAMAGED] = "damaged",	  [DROP_MEMORY] = "memory",
		[DROP_SHUTDOWN] = "shutdown",	  [DROP_NO_QUEUE] = "no_queue",
	};
	return reason < DROP_REASON_COUNT ? names[reason] : "unknown";
}

static void spool_lock(struct spool *spool)
{
	pthread_mutex_lock(&spool->lock);
}

/* The statistics are published before the lock is given back, so they are those of a moment at rest. */
static void spool_unlock(struct spool *spool)
{
	spool->statistics.disk_bytes = 0;
	for (size_t i = 0; i < spool->segments.count; i++)
		spool->statistics.disk_bytes += spool->segments.items[i]->size;
	pthread_mutex_lock(&spool->published_lock);
	spool->published = spool->statistics;
	pthread_mutex_unlock(&spool->published_lock);
	pthread_mutex_unlock(&spool->lock);
}

void spool_statistics(struct spool *spool, struct spool_statistics *ret)
{
	pthread_mutex_lock(&spool->published_lock);
	*ret = spool->published;
	pthread_mutex_unlock(&spool->published_lock);
}

/* -- opening and closing -------------------------------------------------------------------- */

static uint32_t read_boot(void)
{
	size_t size;
	_cleanup_free_ char *id = NULL;
	if (read_whole_file("/proc/sys/kernel/random/boot_id", 256, &id, &size) < 0)
		return 1; /* as if there were one boot for ever */
	return (uint32_t)strtoul(id, NULL, 16);
}

static struct spool *spool_new(const struct spool_options *options)
{
	struct spool *spool = calloc(1, sizeof(*spool));
	if (!spool)
		return NULL;
	pthread_mutex_init(&spool->lock, NULL);
	pthread_mutex_init(&spool->published_lock, NULL);
	spool->directory = -1;
	spool->max_bytes = options->max_bytes ? options->max_bytes : SPOOL_MAX_BYTES;
	spool->max_memory_bytes = options->max_memory_bytes ? options->max_memory_bytes
							    : SPOOL_MAX_MEMORY_BYTES;
	/* Small enough that dropping the oldest drops little, and few enough descriptors. */
	spool->segment_bytes = MAX_OF(MIN_OF(spool->max_bytes / 8, SEGMENT_BYTES),
				      spool->max_bytes / 64);
	spool->boot = options->boot ? options->boot : read_boot();
	spool->next_id = spool->next_sequence = spool->next_order = 1;
	return spool;
}

int spool_open(const struct spool_options *options, struct spool **ret)
{
	int r;
	struct spool *spool = spool_new(options);
	if (!spool)
		return -ENOMEM;
	if (options->directory && options->directory[0]) {
		spool->path = strdup(options->directory);
		r = spool->path ? spool_open_directory(spool) : -ENOMEM;
		if (r == 0)
			r = spool_recover(spool);
		if (r == -ENOMEM || r == -EBUSY) {
			spool_free(spool);
			return r;
		}
		spool->statistics.disk_error = r;
	}
	spool_lock(spool);
	spool_enforce_limits(spool);
	spool_unlock(spool);
	*ret = spool;
	return 0;
}

struct spool *spool_free(struct spool *spool)
{
	if (!spool)
		return NULL;
	spool_remove_done(spool, true);
	for (size_t i = spool->first; i < spool->entries.count; i++)
		free(spool->entries.items[i].bytes);
	for (size_t i = 0; i < spool->segments.count; i++)
		segment_free(spool->segments.items[i]);
	array_free(&spool->segments);
	array_free(&spool->entries);
	close_fd(spool->directory);
	pthread_mutex_destroy(&spool->lock);
	pthread_mutex_destroy(&spool->published_lock);
	free(spool->path);
	free(spool);
	return NULL;
}

/* -- in ------------------------------------------------------------------------------------- */

static int make_entry(struct spool *spool, const struct payload *payload, struct spool_entry *ret)
{
	*ret = (struct spool_entry){
		.header = {.kind = payload->kind, .size = payload->size,
			   .samples = payload->samples, .start_ns = payload->start_ns,
			   .end_ns = payload->end_ns, .order = spool->next_order},
		.id = spool->next_id,
		.state = RECORD_WAITING,
	};
	/* Four of the largest must fit, so that the oldest can go while one is being sent. */
	if (record_size(&ret->header) > MIN_OF(spool->max_bytes / 4, RECORD_MAX_SIZE))
		return -EFBIG;
	ret->bytes = malloc(payload->size ? payload->size : 1);
	if (!ret->bytes)
		return -ENOMEM;
	if (payload->size)
		memcpy(ret->bytes, payload->bytes, payload->size);
	return 0;
}

int spool_append(struct spool *spool, const struct payload *payload)
{
	struct spool_entry entry;
	spool_lock(spool);
	spool_compact(spool);
	int r = make_entry(spool, payload, &entry);
	if (r == 0)
		r = spool_insert(spool, spool->entries.count, &entry);
	amount_add(&spool->statistics.taken, &entry.header);
	if (r == 0) {
		spool->next_id++;
		spool->next_order++;
		spool_write_out(spool);
		spool_enforce_limits(spool);
	} else {
		free(entry.bytes);
		amount_add(&spool->statistics.dropped[r == -EFBIG ? DROP_TOO_LARGE : DROP_MEMORY],
			   &entry.header);
	}
	spool_unlock(spool);
	return r;
}

int spool_sync(struct spool *spool)
{
	spool_lock(spool);
	int r = spool_sync_locked(spool);
	spool_enforce_limits(spool);
	spool_unlock(spool);
	return r;
}

void spool_drop_memory(struct spool *spool, enum drop_reason reason)
{
	spool_lock(spool);
	for (size_t i = spool->first; i < spool->entries.count; i++)
		if (spool->entries.items[i].bytes)
			spool_discard(spool, &spool->entries.items[i], reason);
	spool_unlock(spool);
}

/* -- out ------------------------------------------------------------------------------------ */

void spool_record_free(struct spool_record *record)
{
	free((char *)record->payload.bytes);
	*record = (struct spool_record){0};
}

/* The disk reads what comes next while the first is checked and sent: it is asked for each payload once,
 * before the first is read. */
static void read_ahead(struct spool *spool)
{
	uint64_t bytes = 0;
	for (size_t i = spool->first; i < spool->entries.count && bytes < AHEAD_BYTES; i++) {
		const struct spool_entry *next = &spool->entries.items[i];
		if (next->is_gone || !next->segment)
			continue;
		bytes += record_size(&next->header);
		if (next->id <= spool->asked_id)
			continue;
		segment_read_ahead(next->segment, next->offset, &next->header);
		spool->asked_id = next->id;
	}
}

static int take_first(struct spool *spool, struct spool_record *ret)
{
	struct spool_entry *entry;
	char *bytes = NULL;
	if (spool->out)
		return -EAGAIN;
	read_ahead(spool);
	while ((entry = spool_first(spool))) {
		int r = spool_load(entry, &bytes);
		if (r == -ENOMEM)
			return r;
		if (r == 0)
			break;
		spool_discard(spool, entry, DROP_DAMAGED);
	}
	if (!entry)
		return -ENOENT;
	const struct record_header *header = &entry->header;
	*ret = (struct spool_record){
		.payload = {.kind = header->kind, .bytes = bytes, .size = header->size,
			    .samples = header->samples, .start_ns = header->start_ns,
			    .end_ns = header->end_ns},
		.sequence = entry->id,
		.maybe_repeated = entry->state == RECORD_REPEAT,
	};
	if (ret->maybe_repeated)
		spool->statistics.maybe_repeated++;
	spool_note_sending(spool, entry);
	spool->out = entry->id;
	return 0;
}

int spool_next(struct spool *spool, struct spool_record *ret)
{
	spool_lock(spool);
	int r = take_first(spool, ret);
	spool_remove_done(spool, false);
	spool_unlock(spool);
	return r;
}

void spool_sent(struct spool *spool, uint64_t sequence)
{
	spool_lock(spool);
	struct spool_entry *entry = spool_find_out(spool, sequence);
	if (entry) {
		amount_add(&spool->statistics.sent, &entry->header);
		spool_forget(spool, entry);
		spool->out = 0;
		spool_remove_done(spool, false);
	}
	spool_unlock(spool);
}

void spool_drop(struct spool *spool, uint64_t sequence, enum drop_reason reason)
{
	spool_lock(spool);
	struct spool_entry *entry = spool_find_out(spool, sequence);
	if (entry) {
		spool_discard(spool, entry, reason);
		spool->out = 0;
		spool_remove_done(spool, false);
	}
	spool_unlock(spool);
}

void spool_again(struct spool *spool, uint64_t sequence, bool maybe_received)
{
	spool_lock(spool);
	struct spool_entry *entry = spool_find_out(spool, sequence);
	if (entry) {
		spool_set_state(spool, entry, maybe_received ? RECORD_REPEAT : RECORD_ARMED);
		spool->out = 0;
	}
	spool_unlock(spool);
}

/* Puts the halves behind the whole, at `index`. Undone when memory is short. */
static int insert_halves(struct spool *spool, size_t index, const struct payload halves[2])
{
	const struct spool_entry whole = spool->entries.items[index];
	for (uint32_t i = 0; i < 2; i++) {
		struct spool_entry half;
		int r = make_entry(spool, &halves[i], &half);
		half.header.order = whole.header.order;
		half.header.replaces = whole.segment ? whole.header.sequence : 0;
		half.header.half = i;
		if (r == 0)
			r = spool_insert(spool, index + 1 + i, &half);
		if (r < 0) {
			free(half.bytes);
			if (i == 1)
				spool_forget(spool, &spool->entries.items[index + 1]);
			return r == -EFBIG ? -EINVAL : r;
		}
		spool->next_id++;
	}
	return 0;
}

static int replace(struct spool *spool, struct spool_entry *entry, const struct payload halves[2])
{
	if (halves[0].samples + halves[1].samples != entry->header.samples)
		return -EINVAL;
	size_t index = (size_t)(entry - spool->entries.items);
	int r = insert_halves(spool, index, halves);
	if (r < 0)
		return r;
	spool->statistics.splits++;
	/* The whole goes when the halves are durable; a disk that refuses them now has them in memory,
	 * as it has all that comes. */
	spool_sync_locked(spool);
	spool_forget(spool, &spool->entries.items[index]);
	spool->out = 0;
	spool_enforce_limits(spool);
	return 0;
}

int spool_replace(struct spool *spool, uint64_t sequence, const struct payload halves[2])
{
	spool_lock(spool);
	struct spool_entry *entry = spool_find_out(spool, sequence);
	int r = entry ? replace(spool, entry, halves) : -EINVAL;
	spool_remove_done(spool, false);
	spool_unlock(spool);
	return r;
}
