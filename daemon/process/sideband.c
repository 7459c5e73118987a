/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns one dummy event with its ring for each CPU, and merges the rings by time.
 *
 * A record is read in place and given back to the kernel after the callback; the merge compares only
 * the time in its last word. When a ring is half full before the owner's timer fires, the loop wakes
 * us and the bytes move to a spill buffer of that CPU, bounded over all CPUs: past the bound they
 * stay in the ring and the kernel counts what it cannot write. Spilled bytes are a ring too, one
 * that is only appended to, so both are read by the same code.
 */
#include "process/sideband.h"

#include "base/array.h"
#include "base/file.h"
#include "process/perf_ring.h"
#include "process/sideband_parse.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_BUFFER_PAGES 32 /* 128 KiB: some 1000 records between two drains */
#define MAX_BUFFER_PAGES 4096
#define MAX_CPUS 8192
#define MAX_SPILLED (32U << 20) /* bytes over all CPUs */

struct sideband_cpu {
	struct sideband *owner;
	int cpu;
	int fd;
	struct perf_ring ring;
	struct perf_ring spill; /* older than the ring; data is owned, head and tail start at 0 */
	struct loop_source *source;
	bool leaving; /* removed: goes away once it is read empty */
	uint64_t next_time; /* of the record that is delivered next; valid while in the merge heap */
	int next_size;
	struct perf_ring *next_ring;
};

struct sideband {
	struct loop *loop;
	size_t buffer_pages;
	perf_opener opener;
	void *opener_userdata;
	ARRAY(struct sideband_cpu *) cpus;
	ARRAY(struct sideband_cpu *) heap; /* capacity always >= cpus.count */
	size_t spilled;
	uint64_t next_time; /* of the oldest record left by the last drain; UINT64_MAX: none */
	bool lossy;
	void *scratch; /* for records that wrap */
	struct sideband_statistics statistics;
};

int sideband_new(struct loop *loop, size_t buffer_pages, perf_opener opener, void *opener_userdata,
		 struct sideband **ret)
{
	if (buffer_pages == 0)
		buffer_pages = DEFAULT_BUFFER_PAGES;
	if (buffer_pages & (buffer_pages - 1) || buffer_pages > MAX_BUFFER_PAGES)
		return -EINVAL;
	_cleanup_free_ struct sideband *sideband = calloc(1, sizeof(*sideband));
	_cleanup_free_ void *scratch = malloc(PERF_RECORD_MAX_SIZE);
	if (!sideband || !scratch)
		return -ENOMEM;
	*sideband = (struct sideband){
		.loop = loop,
		.buffer_pages = buffer_pages,
		.opener = opener,
		.opener_userdata = opener_userdata,
		.scratch = take_pointer(scratch),
		.next_time = UINT64_MAX,
	};
	*ret = take_pointer(sideband);
	return 0;
}

static void spill_free(struct sideband_cpu *cpu)
{
	cpu->owner->spilled -= cpu->spill.size;
	free((void *)cpu->spill.data);
	cpu->spill = (struct perf_ring){0};
}

static struct sideband_cpu *cpu_free(struct sideband_cpu *cpu)
{
	loop_remove(cpu->source);
	spill_free(cpu);
	perf_ring_unmap(&cpu->ring);
	close_fd(cpu->fd);
	free(cpu);
	return NULL;
}

void sideband_close(struct sideband *sideband)
{
	for (size_t i = 0; i < sideband->cpus.count; i++)
		cpu_free(sideband->cpus.items[i]);
	array_free(&sideband->cpus);
	array_free(&sideband->heap);
	sideband->next_time = UINT64_MAX;
}

struct sideband *sideband_free(struct sideband *sideband)
{
	if (!sideband)
		return NULL;
	sideband_close(sideband);
	free(sideband->scratch);
	free(sideband);
	return NULL;
}

static struct perf_event_attr sideband_attr(size_t buffer_size)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(struct perf_event_attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = SIDEBAND_SAMPLE_TYPE,
		.sample_id_all = 1,
		.task = 1,
		.comm = 1,
		.comm_exec = 1,
		.mmap = 1, /* executable mappings; mmap_data would add the others */
		.mmap2 = 1,
		.ksymbol = 1,
		.exclude_kernel = 1, /* concerns samples only, and asks for fewer rights */
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = (uint32_t)(buffer_size / 2),
	};
}

/* Room for `more` bytes behind the spill's head. What was read moves out, so nothing ever wraps. */
static int spill_reserve(struct sideband_cpu *cpu, size_t more)
{
	struct perf_ring *spill = &cpu->spill;
	if (spill->tail > 0) {
		memmove((void *)spill->data, spill->data + spill->tail, spill->head - spill->tail);
		spill->head -= spill->tail;
		spill->tail = 0;
	}
	size_t size = spill->size ? spill->size : 65536;
	while (size < spill->head + more)
		size *= 2;
	if (size == spill->size)
		return 0;
	if (cpu->owner->spilled - spill->size + size > MAX_SPILLED)
		return -ENOBUFS;
	void *data = realloc((void *)spill->data, size);
	if (!data)
		return -ENOMEM;
	cpu->owner->spilled += size - spill->size;
	spill->data = data;
	spill->size = size;
	return 0;
}

static int on_half_full(_unused_ struct loop_source *source, _unused_ uint32_t events, void *userdata)
{
	struct sideband_cpu *cpu = userdata;
	struct perf_ring *ring = &cpu->ring;
	perf_ring_update(ring);
	size_t size = ring->head - ring->tail;
	if (size == 0 || size > ring->size || spill_reserve(cpu, size) < 0)
		return 0;
	uint8_t *to = (uint8_t *)cpu->spill.data + cpu->spill.head;
	size_t start = ring->tail & (ring->size - 1);
	size_t first = MIN_OF(size, ring->size - start);
	memcpy(to, ring->data + start, first);
	memcpy(to + first, ring->data, size - first);
	cpu->spill.head += size;
	perf_ring_consume(ring, size);
	return 0;
}

static int cpu_open(struct sideband *sideband, struct sideband_cpu *cpu)
{
	struct perf_event_attr attr =
		sideband_attr(sideband->buffer_pages * (size_t)sysconf(_SC_PAGESIZE));
	cpu->fd = sideband->opener(sideband->opener_userdata, &attr, cpu->cpu);
	if (cpu->fd < 0)
		return cpu->fd;
	int r = perf_ring_map(&cpu->ring, cpu->fd, sideband->buffer_pages);
	if (r < 0 || !sideband->loop)
		return r;
	return loop_add_fd(sideband->loop, cpu->fd, EPOLLIN, on_half_full, cpu, &cpu->source);
}

int sideband_add_cpu(struct sideband *sideband, int cpu_number)
{
	if (cpu_number < 0 || cpu_number >= MAX_CPUS)
		return -EINVAL;
	for (size_t i = 0; i < sideband->cpus.count; i++)
		if (sideband->cpus.items[i]->cpu == cpu_number && !sideband->cpus.items[i]->leaving)
			return -EEXIST;
	if (array_reserve(&sideband->cpus, sideband->cpus.count + 1) < 0 ||
	    array_reserve(&sideband->heap, sideband->cpus.count + 1) < 0)
		return -ENOMEM;
	struct sideband_cpu *cpu = calloc(1, sizeof(*cpu));
	if (!cpu)
		return -ENOMEM;
	cpu->owner = sideband;
	cpu->cpu = cpu_number;
	cpu->fd = -1;
	int r = cpu_open(sideband, cpu);
	if (r < 0) {
		cpu_free(cpu);
		return r;
	}
	return array_add(&sideband->cpus, cpu);
}

void sideband_remove_cpu(struct sideband *sideband, int cpu_number)
{
	for (size_t i = 0; i < sideband->cpus.count; i++) {
		struct sideband_cpu *cpu = sideband->cpus.items[i];
		if (cpu->cpu != cpu_number)
			continue;
		cpu->source = loop_remove(cpu->source);
		cpu->leaving = true;
	}
}

/* Everything up to the head is unreadable. */
static void drop_ring(struct sideband *sideband, struct perf_ring *ring)
{
	sideband->statistics.lost++;
	sideband->lossy = true;
	perf_ring_consume(ring, ring->head - ring->tail);
}

/* Finds the CPU's next record. Returns false when it has none. */
static bool cpu_peek(struct sideband *sideband, struct sideband_cpu *cpu)
{
	struct perf_ring *const rings[] = {&cpu->spill, &cpu->ring};
	for (size_t i = 0; i < ARRAY_LENGTH(rings); i++) {
		int size = perf_ring_next_size(rings[i], SIDEBAND_RECORD_MIN);
		if (size < 0) {
			drop_ring(sideband, rings[i]);
			continue;
		}
		if (size == 0)
			continue;
		cpu->next_ring = rings[i];
		cpu->next_size = size;
		cpu->next_time = perf_ring_word(rings[i], (size_t)size - sizeof(uint64_t));
		return true;
	}
	return false;
}

static void heap_sift_down(struct sideband *sideband, size_t i)
{
	struct sideband_cpu **heap = sideband->heap.items;
	size_t count = sideband->heap.count;
	for (;;) {
		size_t least = i, left = 2 * i + 1, right = 2 * i + 2;
		if (left < count && heap[left]->next_time < heap[least]->next_time)
			least = left;
		if (right < count && heap[right]->next_time < heap[least]->next_time)
			least = right;
		if (least == i)
			return;
		struct sideband_cpu *swapped = heap[i];
		heap[i] = heap[least];
		heap[least] = swapped;
		i = least;
	}
}

static void heap_build(struct sideband *sideband)
{
	sideband->heap.count = 0;
	for (size_t i = 0; i < sideband->cpus.count; i++) {
		struct sideband_cpu *cpu = sideband->cpus.items[i];
		perf_ring_update(&cpu->ring);
		if (cpu_peek(sideband, cpu))
			sideband->heap.items[sideband->heap.count++] = cpu;
	}
	for (size_t i = sideband->heap.count / 2; i-- > 0;)
		heap_sift_down(sideband, i);
}

static void deliver(struct sideband *sideband, struct sideband_cpu *cpu, sideband_callback callback,
		    void *userdata)
{
	size_t size = (size_t)cpu->next_size;
	const void *bytes = perf_ring_bytes(cpu->next_ring, size, sideband->scratch);
	struct sideband_record record;
	uint64_t lost = 0;
	switch (sideband_parse(bytes, size, &record, &lost)) {
	case SIDEBAND_PARSED:
		sideband->statistics.records++;
		callback(userdata, &record);
		break;
	case SIDEBAND_LOSS:
		sideband->statistics.lost += lost;
		sideband->lossy = true;
		break;
	case SIDEBAND_BROKEN:
		sideband->statistics.lost++;
		sideband->lossy = true;
		break;
	case SIDEBAND_SKIPPED:
		break;
	}
	sideband->statistics.bytes += size;
	perf_ring_consume(cpu->next_ring, size);
}

static bool ring_is_empty(const struct perf_ring *ring)
{
	return ring->head == ring->tail;
}

/* Gives back the spill buffers that were read empty, and the CPUs that left. */
static void release_empty(struct sideband *sideband)
{
	for (size_t i = sideband->cpus.count; i-- > 0;) {
		struct sideband_cpu *cpu = sideband->cpus.items[i];
		if (!ring_is_empty(&cpu->spill))
			continue;
		spill_free(cpu);
		if (cpu->leaving && ring_is_empty(&cpu->ring)) {
			cpu_free(cpu);
			sideband->cpus.items[i] = sideband->cpus.items[--sideband->cpus.count];
		}
	}
}

int sideband_drain(struct sideband *sideband, uint64_t until_ns, sideband_callback callback,
		   void *userdata)
{
	heap_build(sideband);
	while (sideband->heap.count > 0) {
		struct sideband_cpu *cpu = sideband->heap.items[0];
		if (cpu->next_time > until_ns)
			break;
		deliver(sideband, cpu, callback, userdata);
		if (!cpu_peek(sideband, cpu))
			sideband->heap.items[0] = sideband->heap.items[--sideband->heap.count];
		heap_sift_down(sideband, 0);
	}
	sideband->next_time = sideband->heap.count ? sideband->heap.items[0]->next_time : UINT64_MAX;
	release_empty(sideband);
	return 0;
}

uint64_t sideband_next_time(const struct sideband *sideband)
{
	return sideband->next_time;
}

bool sideband_take_loss(struct sideband *sideband)
{
	bool lossy = sideband->lossy;
	sideband->lossy = false;
	return lossy;
}

void sideband_get_statistics(const struct sideband *sideband, struct sideband_statistics *ret)
{
	*ret = sideband->statistics;
}
