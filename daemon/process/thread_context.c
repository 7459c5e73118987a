/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process says first (process_context.h) that its threads have contexts. Then the variable: at a fixed distance
 * from the thread pointer, or in a module's block that each thread finds through its vector of blocks (DTV).
 *
 * The vectors of the two C libraries: glibc, sysdeps/x86_64/nptl/tls.h and sysdeps/aarch64/nptl/tls.h (tcbhead_t.dtv,
 * dtv_t of two words, the number of entries in the one before the first); musl, src/internal/pthread_impl.h (the
 * number of entries is in the first word).
 */
#include "process/thread_context.h"

#include "base/file.h"
#include "process/process_context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_MAPS (16UL << 20)
#define MAX_MODULES 65536
#define ATTEMPTS 3 /* at a context that is written while it is read */

/*
 * A descriptor's argument is an offset, where the block is at a fixed distance from the thread pointer, or the
 * address of two words. On x86-64 such offsets are negative, on arm64 they are small: programs are not mapped there.
 */
#ifdef __aarch64__
#define VECTOR_AT_GLIBC 0
#define VECTOR_AT_MUSL (-8)
#define IS_OFFSET(argument) ((argument) < (1U << 22))
#else
#define VECTOR_AT_GLIBC 8
#define VECTOR_AT_MUSL 8
#define IS_OFFSET(argument) ((int64_t)(argument) <= 0)
#endif

/* What /proc/PID/maps tells. */
struct process_maps {
	uint64_t context; /* address of the process's context; 0: it has none */
	bool is_musl;
};

static int read_maps(const struct thread_context_reading *reading, struct process_maps *ret)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	size_t size;
	snprintf(path, sizeof(path), "%s/%u/maps", reading->proc_path, reading->pid);
	int r = read_whole_file(path, MAX_MAPS, &text, &size);
	if (r < 0)
		return r;
	*ret = (struct process_maps){0};
	struct slice rest = {text, size}, line;
	while (slice_next_line(&rest, &line)) {
		struct maps_line map;
		if (maps_line_parse(line, &map) < 0)
			continue;
		ret->is_musl |= memmem(map.path.bytes, map.path.length, "/ld-musl-", 9) != NULL;
		if (!ret->context && !map.executable && process_context_is_name(map.path))
			ret->context = map.start;
	}
	return ret->context ? 0 : -ENODATA;
}

static int read_memory(int memory, uint64_t address, void *buffer, size_t size)
{
	return read_exactly_at(memory, buffer, size, address);
}

/* One attempt. -EAGAIN: it was written meanwhile. */
static int read_context(int memory, uint64_t address, bool *ret_has_thread_contexts)
{
	uint8_t header[PROCESS_CONTEXT_HEADER_SIZE], again[sizeof(header)];
	struct process_context_header parsed;
	int r = read_memory(memory, address, header, sizeof(header));
	if (r == 0)
		r = process_context_parse_header(header, &parsed);
	if (r < 0)
		return r;
	_cleanup_free_ uint8_t *payload = malloc(parsed.size + 1);
	if (!payload)
		return -ENOMEM;
	r = read_memory(memory, parsed.payload, payload, parsed.size);
	if (r == 0)
		r = read_memory(memory, address, again, sizeof(again));
	if (r < 0)
		return r;
	if (memcmp(header, again, sizeof(header)))
		return -EAGAIN;
	return process_context_parse(payload, parsed.size, ret_has_thread_contexts);
}

static int check_context(int memory, uint64_t address)
{
	bool has_thread_contexts = false;
	int r = -EAGAIN;
	for (int i = 0; i < ATTEMPTS && r == -EAGAIN; i++)
		r = read_context(memory, address, &has_thread_contexts);
	return r == 0 && !has_thread_contexts ? -ENODATA : r;
}

static int place_in_module(const uint64_t words[2], bool is_musl, struct context_place *ret)
{
	if (words[0] == 0 || words[0] > MAX_MODULES)
		return -EBADMSG;
	*ret = (struct context_place){
		.offset = (int64_t)words[1],
		.module = (uint32_t)words[0],
		.entry_size = is_musl ? 8 : 16,
		.vector_at = is_musl ? VECTOR_AT_MUSL : VECTOR_AT_GLIBC,
		.count_at = is_musl ? 0 : -16,
	};
	return 0;
}

static int find_place(int memory, const struct thread_context_reading *reading, bool is_musl,
		      struct context_place *ret)
{
	const struct thread_variable *v = &reading->variable;
	uint64_t words[2] = {0};
	*ret = (struct context_place){.offset = v->offset};
	if (v->access == THREAD_VARIABLE_FIXED)
		return 0;
	bool is_single = v->access == THREAD_VARIABLE_OFFSET_SLOT;
	int r = read_memory(memory, v->slot + reading->bias, words, is_single ? 8 : sizeof(words));
	if (r < 0)
		return r;
	if (is_single) {
		ret->offset = (int64_t)words[0];
		return 0;
	}
	if (v->access == THREAD_VARIABLE_MODULE_SLOT)
		return place_in_module(words, is_musl, ret);
	if (v->access != THREAD_VARIABLE_DESCRIPTOR)
		return -EBADMSG;
	if (words[0] == 0) /* no function yet: the file is being loaded */
		return -EAGAIN;
	if (IS_OFFSET(words[1])) {
		ret->offset = (int64_t)words[1];
		return 0;
	}
	r = read_memory(memory, words[1], words, sizeof(words));
	return r < 0 ? r : place_in_module(words, is_musl, ret);
}

void thread_context_read(struct thread_context_reading *reading)
{
	struct process_maps maps;
	char path[64];
	reading->error = read_maps(reading, &maps);
	if (reading->error < 0)
		return;
	snprintf(path, sizeof(path), "%s/%u/mem", reading->proc_path, reading->pid);
	_cleanup_fd_ int memory = open(path, O_RDONLY | O_CLOEXEC);
	if (memory < 0) {
		reading->error = -errno;
		return;
	}
	reading->error = check_context(memory, maps.context);
	if (reading->error == 0)
		reading->error = find_place(memory, reading, maps.is_musl, &reading->place);
}
