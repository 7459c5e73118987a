/* SPDX-License-Identifier: Apache-2.0 */
/* See perf_ring.h. */
#include "process/perf_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int perf_ring_map(struct perf_ring *ring, int fd, size_t pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *control = mmap(NULL, (1 + pages) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		return -errno;
	*ring = (struct perf_ring){
		.control = control,
		.data = (const uint8_t *)control + page,
		.size = pages * page,
	};
	return 0;
}

void perf_ring_unmap(struct perf_ring *ring)
{
	if (ring->control)
		munmap(ring->control, (size_t)(ring->data - (uint8_t *)ring->control) + ring->size);
	*ring = (struct perf_ring){0};
}

void perf_ring_update(struct perf_ring *ring)
{
	if (ring->control)
		ring->head = __atomic_load_n(&ring->control->data_head, __ATOMIC_ACQUIRE);
}

uint64_t perf_ring_word(const struct perf_ring *ring, size_t offset)
{
	uint64_t word;
	memcpy(&word, ring->data + ((ring->tail + offset) & (ring->size - 1)), sizeof(word));
	return word;
}

int perf_ring_next_size(const struct perf_ring *ring, size_t minimum)
{
	uint64_t available = ring->head - ring->tail;
	if (available == 0)
		return 0;
	if (available > ring->size || available < sizeof(struct perf_event_header))
		return -EBADMSG;
	uint64_t word = perf_ring_word(ring, 0);
	struct perf_event_header header;
	memcpy(&header, &word, sizeof(header));
	if (header.size < minimum || header.size % 8 || header.size > available)
		return -EBADMSG;
	return header.size;
}

const void *perf_ring_bytes(const struct perf_ring *ring, size_t size, void *scratch)
{
	size_t start = ring->tail & (ring->size - 1);
	if (start + size <= ring->size)
		return ring->data + start;
	size_t first = ring->size - start;
	memcpy(scratch, ring->data + start, first);
	memcpy((uint8_t *)scratch + first, ring->data, size - first);
	return scratch;
}

void perf_ring_consume(struct perf_ring *ring, size_t size)
{
	ring->tail += size;
	if (ring->control)
		__atomic_store_n(&ring->control->data_tail, ring->tail, __ATOMIC_RELEASE);
}
