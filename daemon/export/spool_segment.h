/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of the spool. Records are appended to the newest segment only; a segment is removed when
 * all of its records are done. Its descriptor stays open as long as it lives, so that what it holds
 * can be read even when somebody removed the directory.
 */
#pragma once

#include "base/array.h"
#include "export/spool_format.h"

struct segment {
	uint64_t first_sequence, nonce; /* both are in its name */
	int fd;
	uint64_t size;
	uint32_t live;	    /* records that are not done */
	bool unsynced;	    /* written since the last sync */
	bool notes_unsynced; /* RECORD_ARMED was written since */
	bool is_broken;	    /* append nothing more: read-only, or an end that could not be cut off */
	ARRAY(uint64_t) unmarked; /* offsets of records that are done, which the disk did not take */
};

#define SEGMENT_NAME_SIZE 48

void segment_name(const struct segment *segment, char name[static SEGMENT_NAME_SIZE]);

/* Is this the name of a segment? Fills in first_sequence and nonce. */
bool segment_parse_name(const char *name, struct segment *segment);

/* Makes a new empty file in `directory`. Returns 0 or -errno. */
int segment_create(int directory, uint64_t first_sequence, struct segment **ret);

/* Opens one that exists, for reading only when it cannot be written. Returns 0 or -errno. */
int segment_open(int directory, const char *name, struct segment **ret);

/* Closes; the file stays. Accepts NULL. Returns NULL. */
struct segment *segment_free(struct segment *segment);

/* Appends one record, sealing the header. A failed write leaves the file as it was, or is_broken.
 * Returns 0 with its *ret_offset, or -errno. */
int segment_append(struct segment *segment, struct record_header *header, const void *bytes,
		   uint64_t *ret_offset);

/* Changes the state of the record at `offset`. Returns 0 or -errno. */
int segment_mark(struct segment *segment, uint64_t offset, uint32_t state_word);

/* Notes that the record is done, now or when the disk takes it. Returns false for later. */
bool segment_mark_done(struct segment *segment, uint64_t offset);

/* Reads and checks the payload of the record at `offset` into a new buffer. Returns 0, -EBADMSG when
 * it is damaged, -ENOMEM, or -errno. */
int segment_read(const struct segment *segment, uint64_t offset, const struct record_header *header,
		 char **ret_bytes);

/* Asks the disk for the payload, without waiting: it will be read next. */
void segment_read_ahead(const struct segment *segment, uint64_t offset,
			const struct record_header *header);

/* fdatasync(2) if anything was written; tries to write outstanding notes. Returns 0 or -errno. */
int segment_sync(struct segment *segment);

/* Has the file lost its name, because somebody removed it? */
bool segment_is_unlinked(const struct segment *segment);

/* What segment_scan() finds, in the order of the file. */
struct segment_visitor {
	/* A header that is whole, with its record inside the file. */
	int (*record)(void *userdata, const struct record_header *header, uint64_t offset);
	/* `bytes` belong to no readable record. `before` and `after` are the records around them, NULL
	 * when there is none; `cut` is the header of a record that the end of the file cuts. */
	void (*damage)(void *userdata, const struct record_header *before,
		       const struct record_header *after, const struct record_header *cut,
		       uint64_t bytes);
	void *userdata;
};

/* Reads all headers (foreign bytes) and cuts off a torn tail. `segment->size` is then the end of the
 * last record. Returns 0, what record() returned, or -errno. */
int segment_scan(struct segment *segment, const struct segment_visitor *visitor);
