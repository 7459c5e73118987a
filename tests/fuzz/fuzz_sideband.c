/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side-band stream: the input is the data area of a perf ring, its first bytes say where the head
 * stands and where the reading starts, so that records wrap. What is parsed goes into a process table
 * that has no /proc, between look-ups at other times.
 */
#include "process/perf_ring.h"
#include "process/process.h"
#include "process/sideband_parse.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RING_SIZE 4096

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void use(struct process_table *table, const struct sideband_record *record)
{
	require(strnlen(record->comm, sizeof(record->comm)) < sizeof(record->comm));
	if (record->kind == SIDEBAND_MMAP)
		require(strlen(record->path) < RING_SIZE);
	process_table_apply(table, record);
	struct process *process =
		process_table_find(table, record->pid, record->time + (record->tid & 7),
				   record->start, record->parent_pid & 3, "name");
	require(!process || process->pid == record->pid);
	if (record->tid % 16 == 0)
		process_table_expire(table, record->time);
}

static void read_ring(struct perf_ring *ring, struct process_table *table)
{
	static uint8_t scratch[PERF_RECORD_MAX_SIZE];
	int size;
	while ((size = perf_ring_next_size(ring, SIDEBAND_RECORD_MIN)) > 0) {
		/* A copy of exactly its size: a read behind it shows. */
		uint8_t *bytes = malloc((size_t)size);
		struct sideband_record record;
		uint64_t lost = 0;
		if (!bytes)
			abort();
		memcpy(bytes, perf_ring_bytes(ring, (size_t)size, scratch), (size_t)size);
		require(ring->size >= (uint64_t)size);
		if (sideband_parse(bytes, (size_t)size, &record, &lost) == SIDEBAND_PARSED)
			use(table, &record);
		free(bytes);
		perf_ring_consume(ring, (size_t)size);
	}
	require(size == 0 || size == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t area[RING_SIZE];
	const struct process_limits limits = {.processes = 8, .grace_ns = 100};
	struct process_table *table;
	uint16_t place[2];
	if (size < sizeof(place) || process_table_new("/nowhere", &limits, NULL, NULL, &table) < 0)
		return 0;
	memcpy(place, data, sizeof(place));
	data += sizeof(place);
	size = MIN_OF(size - sizeof(place), sizeof(area));
	memset(area, 0, sizeof(area));
	struct perf_ring ring = {.data = area, .size = RING_SIZE, .tail = place[0] & ~7ULL};
	for (size_t i = 0; i < size; i++)
		area[(ring.tail + i) % RING_SIZE] = data[i];
	/* Usually what was written, sometimes something else. */
	ring.head = place[1] % 4 ? ring.tail + size : place[1];
	read_ring(&ring, table);
	process_table_free(table);
	return 0;
}
