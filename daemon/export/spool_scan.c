/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a segment that an earlier process, a failing disk or anybody else left. Only headers are read,
 * so a large spool is taken up fast; a payload's checksum is checked when it is sent. Where the chain
 * of lengths breaks, the next valid header is searched for at every aligned offset.
 */
#include "base/file.h"
#include "export/spool_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SEARCH_BYTES ((size_t)64 << 10)
/* Headers closer together than this are read faster with all that lies between them: the disk is asked
 * for so much ahead. Farther apart, only their own pages are read. */
#define CLOSE_BYTES ((uint64_t)256 << 10)
#define AHEAD_BYTES ((uint64_t)8 << 20)

struct scan {
	const struct segment *segment;
	const struct segment_visitor *visitor;
	uint64_t end;			  /* of the file */
	struct record_header before, cut; /* the last whole record; one the end cuts off */
	bool has_before, has_cut;
	uint64_t asked_until; /* the disk was asked for all before */
	char window[SEARCH_BYTES];
};

/* Is a whole record at `offset`? Returns 1, 0, or -errno; one that the end cuts is kept in `cut`. */
static int read_record(struct scan *scan, uint64_t offset, struct record_header *ret)
{
	if (scan->end - offset < sizeof(*ret))
		return 0;
	int r = read_exactly_at(scan->segment->fd, ret, sizeof(*ret), offset);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	if (!record_is_valid(ret, scan->segment->nonce))
		return 0;
	if (record_size(ret) > scan->end - offset) {
		scan->cut = *ret;
		scan->has_cut = true;
		return 0;
	}
	/* Records count upwards: an old one that shows through is none. */
	return !scan->has_before || ret->sequence > scan->before.sequence;
}

/* The first whole record at or behind `offset`. Returns 1 with its *ret_offset, 0, or -errno. */
static int search_record(struct scan *scan, uint64_t offset, struct record_header *ret,
			 uint64_t *ret_offset)
{
	const uint32_t magic = RECORD_MAGIC;
	while (scan->end - offset >= sizeof(*ret)) {
		size_t length = MIN_OF(scan->end - offset, sizeof(scan->window));
		int r = read_exactly_at(scan->segment->fd, scan->window, length, offset);
		if (r < 0)
			return r == -ENODATA ? 0 : r;
		for (size_t i = 0; i + sizeof(*ret) <= length; i += RECORD_ALIGNMENT) {
			if (memcmp(scan->window + i, &magic, sizeof(magic)))
				continue;
			r = read_record(scan, offset + i, ret);
			if (r == 1)
				*ret_offset = offset + i;
			if (r != 0)
				return r;
		}
		/* The next window begins with the last header that did not fit into this one. */
		size_t step = (length - sizeof(*ret)) / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
		offset += step + RECORD_ALIGNMENT;
	}
	return 0;
}

static void ask_ahead(struct scan *scan, uint64_t offset, uint64_t size)
{
	if (size > CLOSE_BYTES || offset + AHEAD_BYTES / 2 < scan->asked_until)
		return;
	uint64_t start = MAX_OF(offset, scan->asked_until);
	scan->asked_until = offset + AHEAD_BYTES;
	posix_fadvise(scan->segment->fd, (off_t)start, (off_t)(scan->asked_until - start),
		      POSIX_FADV_WILLNEED);
}

static void report_damage(struct scan *scan, const struct record_header *after, uint64_t bytes)
{
	scan->visitor->damage(scan->visitor->userdata, scan->has_before ? &scan->before : NULL,
			      after, !after && scan->has_cut ? &scan->cut : NULL, bytes);
}

/* Visits everything. Returns 0 with the end of the last whole record, or an error. */
static int scan_records(struct scan *scan, uint64_t *ret_end)
{
	struct record_header header;
	uint64_t offset = 0, found;
	while (offset < scan->end) {
		scan->has_cut = false;
		int r = read_record(scan, offset, &header);
		if (r == 0) {
			found = offset;
			r = search_record(scan, offset + RECORD_ALIGNMENT > scan->end
							? scan->end
							: offset + RECORD_ALIGNMENT,
					  &header, &found);
			if (r < 0)
				return r;
			report_damage(scan, r ? &header : NULL,
				      (r ? found : scan->end) - offset);
			if (r == 0)
				break;
			offset = found;
		}
		if (r > 0)
			r = scan->visitor->record(scan->visitor->userdata, &header, offset);
		if (r < 0)
			return r;
		scan->before = header;
		scan->has_before = true;
		offset += record_size(&header);
		ask_ahead(scan, offset, record_size(&header));
	}
	*ret_end = offset;
	return 0;
}

int segment_scan(struct segment *segment, const struct segment_visitor *visitor)
{
	uint64_t end;
	_cleanup_free_ struct scan *scan = malloc(sizeof(*scan));
	if (!scan)
		return -ENOMEM;
	*scan = (struct scan){.segment = segment, .visitor = visitor, .end = segment->size};
	int r = scan_records(scan, &end);
	if (r < 0)
		return r;
	if (end == segment->size)
		return 0;
	if (ftruncate(segment->fd, (off_t)end) < 0)
		segment->is_broken = true;
	else
		segment->size = end;
	return 0;
}
