/* SPDX-License-Identifier: Apache-2.0 */
/* See spool_format.h. */
#include "export/spool_format.h"

#include <zlib.h>

static uint32_t header_checksum(const struct record_header *header, uint64_t nonce)
{
	const unsigned char *covered = (const unsigned char *)&header->payload_checksum;
	uint32_t sum = (uint32_t)crc32_z(0, (const unsigned char *)&nonce, sizeof(nonce));
	return (uint32_t)crc32_z(sum, covered,
				 sizeof(*header) - offsetof(struct record_header, payload_checksum));
}

void record_seal(struct record_header *header, const void *bytes, uint64_t nonce)
{
	header->magic = RECORD_MAGIC;
	header->payload_checksum = record_payload_checksum(0, bytes, header->size);
	header->checksum = header_checksum(header, nonce);
}

bool record_is_valid(const struct record_header *header, uint64_t nonce)
{
	return header->magic == RECORD_MAGIC && header->size <= RECORD_MAX_SIZE &&
	       header->sequence > 0 && header->sequence < RECORD_MAX_SEQUENCE &&
	       header->order < RECORD_MAX_SEQUENCE && header->half <= 1 &&
	       header->replaces < header->sequence &&
	       (header->kind == PAYLOAD_OTLP || header->kind == PAYLOAD_PYROSCOPE ||
		payload_is_pprof(header->kind)) &&
	       header->checksum == header_checksum(header, nonce);
}

uint32_t record_payload_checksum(uint32_t sum, const void *bytes, size_t size)
{
	return (uint32_t)crc32_z(sum, bytes, size);
}

enum record_state record_state_of(uint32_t word, uint32_t boot)
{
	switch (word >> 24) {
	case RECORD_WAITING:
	case RECORD_DONE:
		return word >> 24;
	case RECORD_ARMED:
		return word == record_state_word(RECORD_ARMED, boot) ? RECORD_WAITING
								     : RECORD_REPEAT;
	}
	return RECORD_REPEAT;
}
