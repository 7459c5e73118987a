/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reading end of a perf event's mmap ring: a control page and a power-of-two data area that the
 * kernel fills. Positions are free-running byte counts; the kernel publishes data_head after the
 * bytes (acquire here), we publish data_tail after we are done with them (release).
 *
 * Records are multiples of 8 bytes, so an aligned u64 never straddles the end of the area, but a
 * record may. Sizes are checked before use: a header that cannot be right ends the reading of
 * everything up to the head, because nothing behind it can be trusted.
 *
 * Source: linux/perf_event.h, struct perf_event_mmap_page and struct perf_event_header.
 */
#pragma once

#include "base/attributes.h"

#include <linux/perf_event.h>

#define PERF_RECORD_MAX_SIZE 65536 /* header.size has 16 bits */

struct perf_ring {
	struct perf_event_mmap_page *control; /* NULL: bytes that a test made */
	const uint8_t *data;
	uint64_t size; /* of the data area, a power of two */
	uint64_t head; /* as of the last perf_ring_update() */
	uint64_t tail; /* where the next record starts */
};

/* Maps the ring of `fd` with `pages` data pages. Returns 0 or -errno. */
int perf_ring_map(struct perf_ring *ring, int fd, size_t pages);
void perf_ring_unmap(struct perf_ring *ring);

/* Looks what the kernel has written. */
void perf_ring_update(struct perf_ring *ring);

/* The size of the record at the tail, 0 when there is none, -EBADMSG when it cannot be a record of
 * at least `minimum` bytes. */
int perf_ring_next_size(const struct perf_ring *ring, size_t minimum);

/* The 8 bytes at `offset` (a multiple of 8) of the record at the tail. */
uint64_t perf_ring_word(const struct perf_ring *ring, size_t offset);

/* The record at the tail as contiguous bytes: in place, or copied to `scratch`
 * (PERF_RECORD_MAX_SIZE bytes) when it wraps. */
const void *perf_ring_bytes(const struct perf_ring *ring, size_t size, void *scratch);

/* Gives `size` bytes back to the kernel. */
void perf_ring_consume(struct perf_ring *ring, size_t size);
