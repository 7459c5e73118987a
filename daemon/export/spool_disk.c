/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool's files: writing what is in memory, room for it, syncing, and a disk that comes and goes.
 * A failure is not the end of anything: it is remembered in disk_error, and every append and sync
 * tries again with one write.
 */
#include "base/file.h"
#include "base/log.h"
#include "export/spool_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int spool_open_directory(struct spool *spool)
{
	_cleanup_fd_ int directory = open_private_directory(spool->path);
	if (directory < 0)
		return directory;
	/* The directory itself is the lock: it leaves no file, and works on a read-only disk. */
	if (flock(directory, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	spool->directory = take_fd(directory);
	return 0;
}

/* -- state on disk -------------------------------------------------------------------------- */

void spool_set_state(struct spool *spool, struct spool_entry *entry, enum record_state state)
{
	entry->state = state;
	if (entry->segment && segment_mark(entry->segment, entry->offset,
					   record_state_word(state, spool->boot)) < 0)
		spool->statistics.disk_failures++;
}

void spool_note_sending(struct spool *spool, struct spool_entry *entry)
{
	if (entry->segment && entry->state == RECORD_WAITING) {
		size_t count = 0;
		for (size_t i = spool->first; i < spool->entries.count && count < ARM_BATCH; i++) {
			struct spool_entry *next = &spool->entries.items[i];
			if (next->is_gone || !next->segment || next->state != RECORD_WAITING)
				continue;
			spool_set_state(spool, next, RECORD_ARMED);
			next->segment->notes_unsynced = true;
			count++;
		}
	}
	if (entry->segment && entry->segment->notes_unsynced && segment_sync(entry->segment) < 0)
		spool->statistics.disk_failures++;
	spool_set_state(spool, entry, RECORD_SENDING);
}

/* -- room ----------------------------------------------------------------------------------- */

static void remove_segment(struct spool *spool, size_t index)
{
	char name[SEGMENT_NAME_SIZE];
	struct segment *segment = spool->segments.items[index];
	segment_name(segment, name);
	if (unlinkat(spool->directory, name, 0) < 0 && errno != ENOENT)
		return; /* tried again at the next sync */
	if (segment == spool->newest)
		spool->newest = NULL;
	segment_free(segment);
	spool->segments.count--;
	memmove(&spool->segments.items[index], &spool->segments.items[index + 1],
		(spool->segments.count - index) * sizeof(segment));
}

void spool_remove_done(struct spool *spool, bool all)
{
	for (size_t i = spool->segments.count; i-- > 0;) {
		struct segment *segment = spool->segments.items[i];
		if (!segment->live && (all || segment != spool->newest))
			remove_segment(spool, i);
	}
}

static uint64_t bytes_on_disk(const struct spool *spool)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < spool->segments.count; i++)
		bytes += spool->segments.items[i]->size;
	return bytes;
}

/* Drops what the segment holds, but for the payload that is being sent. */
static void drop_segment(struct spool *spool, struct segment *segment)
{
	for (size_t i = spool->first; i < spool->entries.count && segment->live; i++) {
		struct spool_entry *entry = &spool->entries.items[i];
		if (entry->segment == segment && entry->id != spool->out)
			spool_discard(spool, entry, DROP_QUEUE_FULL);
	}
}

/* Makes room for `size` bytes. Returns 0, or -EDQUOT when files cannot be removed. */
static int make_room(struct spool *spool, uint64_t size)
{
	for (size_t i = 0; i < spool->segments.count;) {
		size_t count = spool->segments.count;
		if (bytes_on_disk(spool) + size <= spool->max_bytes)
			return 0;
		/* Dropping is for nothing where files cannot be removed. */
		if (faccessat(spool->directory, ".", W_OK, 0) < 0)
			return -errno;
		drop_segment(spool, spool->segments.items[i]);
		if (!spool->segments.items[i]->live)
			remove_segment(spool, i);
		i += spool->segments.count == count; /* the next one when it had to stay */
	}
	return bytes_on_disk(spool) + size <= spool->max_bytes ? 0 : -EDQUOT;
}

/* -- writing -------------------------------------------------------------------------------- */

/* The segment to append `size` bytes to. A half goes where the other is. */
static int choose_segment(struct spool *spool, uint64_t size, bool is_second_half)
{
	struct segment *newest = spool->newest;
	if (newest && !newest->is_broken &&
	    (is_second_half || !newest->size || newest->size + size <= spool->segment_bytes))
		return 0;
	int r = array_reserve(&spool->segments, spool->segments.count + 1);
	if (r < 0)
		return r;
	r = segment_create(spool->directory, spool->next_sequence, &newest);
	if (r < 0)
		return r;
	array_add(&spool->segments, newest);
	spool->newest = newest;
	spool->directory_unsynced = true;
	spool_remove_done(spool, false);
	return 0;
}

static int write_entry(struct spool *spool, struct spool_entry *entry)
{
	struct record_header *header = &entry->header;
	uint64_t size = record_size(header);
	int r = make_room(spool, size);
	if (r == 0)
		r = choose_segment(spool, size, header->replaces && header->half == 1);
	if (r < 0)
		return r;
	if (entry->state == RECORD_WAITING && spool->statistics.waiting.payloads <= ARM_BATCH) {
		entry->state = RECORD_ARMED;
		spool->newest->notes_unsynced = true;
	}
	header->state = record_state_word(entry->state, spool->boot);
	header->sequence = spool->next_sequence;
	header->samples_before = spool->samples_written;
	r = segment_append(spool->newest, header, entry->bytes, &entry->offset);
	if (r < 0)
		return r;
	spool->next_sequence++;
	spool->samples_written += header->samples;
	entry->segment = spool->newest;
	amount_subtract(&spool->statistics.in_memory, header);
	free(take_pointer(entry->bytes));
	return 0;
}

static int write_or_free_space(struct spool *spool, struct spool_entry *entry)
{
	int r = write_entry(spool, entry);
	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	size_t before = spool->segments.count;
	spool_remove_done(spool, true);
	return spool->segments.count < before ? write_entry(spool, entry) : r;
}

/* Remembers how the disk is, and says it once each time it changes. */
static int set_disk_error(struct spool *spool, int r)
{
	spool->statistics.disk_failures += r < 0;
	spool->statistics.disk_error = r;
	if (r < 0 && !spool->is_quiet)
		log_warning("spool %s: %s; what cannot be sent is kept in memory until it can be "
			    "written again", spool->path, strerror(-r));
	if (r == 0 && spool->is_quiet)
		log_info("spool %s: written again", spool->path);
	spool->is_quiet = r < 0;
	return r;
}

int spool_write_out(struct spool *spool)
{
	int r = 0;
	if (!spool->path || !spool->statistics.in_memory.payloads)
		return 0;
	if (spool->directory < 0)
		r = spool_open_directory(spool);
	for (size_t i = spool->first; r == 0 && i < spool->entries.count; i++)
		if (spool->entries.items[i].bytes)
			r = write_or_free_space(spool, &spool->entries.items[i]);
	return set_disk_error(spool, r);
}

/* -- a directory that was taken away -------------------------------------------------------- */

/* Removed, renamed, unmounted, or another one in its place. */
static bool directory_is_gone(const struct spool *spool)
{
	struct stat ours, there;
	if (spool->directory < 0 || fstat(spool->directory, &ours) < 0)
		return true;
	if (stat(spool->path, &there) < 0)
		return errno == ENOENT || errno == ENOTDIR;
	return ours.st_dev != there.st_dev || ours.st_ino != there.st_ino;
}

static void move_entry(struct spool *spool, struct spool_entry *entry)
{
	char *bytes;
	if (spool_load(entry, &bytes) < 0) {
		spool_discard(spool, entry, DROP_DAMAGED);
		return;
	}
	segment_mark_done(entry->segment, entry->offset);
	entry->segment->live--;
	entry->segment = NULL;
	entry->bytes = bytes;
	entry->header.replaces = 0;
	amount_add(&spool->statistics.in_memory, &entry->header);
}

/* What a file without a name holds is written again: its descriptor still reads it. */
static void move_segment(struct spool *spool, size_t index)
{
	struct segment *segment = spool->segments.items[index];
	spool->segments.count--;
	memmove(&spool->segments.items[index], &spool->segments.items[index + 1],
		(spool->segments.count - index) * sizeof(segment));
	if (segment == spool->newest)
		spool->newest = NULL;
	for (size_t i = spool->first; i < spool->entries.count && segment->live; i++) {
		struct spool_entry *entry = &spool->entries.items[i];
		if (entry->segment != segment)
			continue;
		move_entry(spool, entry);
		spool_write_out(spool);
		spool_enforce_limits(spool);
	}
	segment_free(segment);
}

static void follow_directory(struct spool *spool)
{
	bool is_gone = directory_is_gone(spool);
	if (is_gone) {
		spool->directory = close_fd(spool->directory);
		int r = spool_open_directory(spool);
		if (r < 0) {
			set_disk_error(spool, r);
			return; /* the files are still open, and still read */
		}
	}
	for (size_t i = spool->segments.count; i-- > 0;)
		if (is_gone || segment_is_unlinked(spool->segments.items[i]))
			move_segment(spool, i);
}

/* -- syncing -------------------------------------------------------------------------------- */

static int sync_files(struct spool *spool)
{
	int r = 0;
	for (size_t i = 0; i < spool->segments.count && r == 0; i++)
		r = segment_sync(spool->segments.items[i]);
	if (r == 0 && spool->directory_unsynced && fsync(spool->directory) < 0)
		r = -errno;
	spool->directory_unsynced &= r < 0;
	return r;
}

int spool_sync_locked(struct spool *spool)
{
	if (!spool->path)
		return 0;
	follow_directory(spool);
	int r = spool_write_out(spool);
	if (r == 0 && spool->directory >= 0)
		r = sync_files(spool);
	spool_remove_done(spool, false);
	if (r < 0 && spool->statistics.disk_error != r)
		set_disk_error(spool, r);
	else if (r == 0 && spool->directory >= 0)
		set_disk_error(spool, 0);
	return spool->statistics.disk_error;
}
