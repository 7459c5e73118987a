/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record of the spool on disk: a header, the payload's bytes, zeros up to a multiple of 8. A segment
 * file is records one behind the other and nothing else. Integers are in the host's byte order: a
 * spool is not carried to another machine.
 *
 * The state is the one thing that changes later, in place, and so no checksum covers it: a word of
 * four bytes that does not straddle a sector is written wholly or not at all.
 *
 * The header's checksum starts from a random number in the segment's name. When damage breaks the
 * chain of lengths the next record is searched for, and a payload, which holds names chosen by
 * strangers, must not be able to pose as one.
 */
#pragma once

#include "base/attributes.h"
#include "export/sink.h"

#define RECORD_MAGIC 0x52534c42u /* "BLSR" */
#define RECORD_ALIGNMENT 8
#define RECORD_MAX_SIZE ((uint64_t)1 << 30)
#define RECORD_MAX_SEQUENCE ((uint64_t)1 << 62)

enum record_state {
	RECORD_WAITING = 0x0f, /* never sent */
	RECORD_ARMED = 0x33,   /* may be sent before the next sync: see record_state_of() */
	RECORD_SENDING = 0x55, /* a send began and nobody said how it ended */
	RECORD_REPEAT = 0x66,  /* a send began and its answer was lost */
	RECORD_DONE = 0xf0,    /* sent, dropped or replaced */
};

struct record_header {
	uint32_t magic;
	uint32_t state;	   /* enum record_state << 24 | the boot that wrote it */
	uint32_t checksum; /* CRC-32 of all behind it */
	uint32_t payload_checksum;
	uint32_t kind;	/* enum payload_kind */
	uint32_t half;	/* with `replaces`: 0 or 1 */
	uint64_t size;	/* of the payload */
	uint64_t samples;
	int64_t start_ns, end_ns;
	uint64_t sequence; /* counts records, from 1 */
	uint64_t order;	   /* place in the queue: the sequence, or of a half the order of the whole */
	uint64_t replaces; /* the sequence of the whole that this is a half of; 0: none */
	uint64_t samples_before; /* in all records before it: what a damaged stretch held */
};
_Static_assert(sizeof(struct record_header) == 88, "a multiple of the alignment, no padding");

/* Bytes of the whole record. */
static inline uint64_t record_size(const struct record_header *header)
{
	return sizeof(*header) + (header->size + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT *
					 RECORD_ALIGNMENT;
}

/* Sets magic and checksums; all else is filled in. */
void record_seal(struct record_header *header, const void *bytes, uint64_t nonce);

/* Foreign bytes: is this a header of the segment with this nonce? Its size fits RECORD_MAX_SIZE. */
bool record_is_valid(const struct record_header *header, uint64_t nonce);
/* Goes on with the checksum of a payload, from 0. At the end it must be the header's. */
uint32_t record_payload_checksum(uint32_t sum, const void *bytes, size_t size);

static inline uint32_t record_state_word(enum record_state state, uint32_t boot)
{
	return (uint32_t)state << 24 | (boot & 0xffffff);
}

/*
 * What a state found on disk means to a new process. The note "being sent" is not synced before each
 * send. After a kill the page cache still has it, so ARMED means never sent; after a loss of power
 * the note may be gone while the send was not, so ARMED from another boot, and any word that is none
 * of ours, means perhaps sent.
 */
enum record_state record_state_of(uint32_t word, uint32_t boot);
