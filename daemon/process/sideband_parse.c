/* SPDX-License-Identifier: Apache-2.0 */
/* See sideband_parse.h. */
#include "process/sideband_parse.h"

#include <string.h>

/* Bodies as in the kernel header, after struct perf_event_header and before the sample_id. */
struct task_body {
	uint32_t pid, parent_pid, tid, parent_tid;
	uint64_t time;
};

struct comm_body {
	uint32_t pid, tid;
	char comm[];
};

struct mmap2_body {
	uint32_t pid, tid;
	uint64_t start, length, offset;
	uint32_t major, minor;
	uint64_t inode, inode_generation;
	uint32_t protection, flags;
	char path[];
};

struct ksymbol_body {
	uint64_t start;
	uint32_t length;
	uint16_t type, flags;
	char name[];
};

struct lost_body {
	uint64_t id, lost;
};

static enum sideband_parsed parse_task(const void *body, size_t size, enum sideband_kind kind,
				       struct sideband_record *ret)
{
	struct task_body task;
	if (size < sizeof(task))
		return SIDEBAND_BROKEN;
	memcpy(&task, body, sizeof(task));
	ret->kind = kind;
	ret->pid = task.pid;
	ret->tid = task.tid;
	ret->parent_pid = task.parent_pid;
	ret->parent_tid = task.parent_tid;
	return SIDEBAND_PARSED;
}

static enum sideband_parsed parse_comm(const void *body, size_t size, bool exec,
				       struct sideband_record *ret)
{
	const struct comm_body *comm = body;
	if (size <= sizeof(*comm))
		return SIDEBAND_BROKEN;
	size_t length = strnlen(comm->comm, size - sizeof(*comm));
	length = MIN_OF(length, sizeof(ret->comm) - 1);
	ret->kind = exec ? SIDEBAND_EXEC : SIDEBAND_COMM;
	memcpy(&ret->pid, &comm->pid, sizeof(ret->pid));
	memcpy(&ret->tid, &comm->tid, sizeof(ret->tid));
	memcpy(ret->comm, comm->comm, length);
	return SIDEBAND_PARSED;
}

static enum sideband_parsed parse_mmap2(const void *body, size_t size, uint16_t misc,
					struct sideband_record *ret)
{
	struct mmap2_body map;
	if (size <= sizeof(map))
		return SIDEBAND_BROKEN;
	memcpy(&map, body, sizeof(map));
	const char *path = (const char *)body + sizeof(map);
	if (!memchr(path, '\0', size - sizeof(map)))
		return SIDEBAND_BROKEN;
	ret->kind = SIDEBAND_MMAP;
	ret->pid = map.pid;
	ret->tid = map.tid;
	ret->start = map.start;
	ret->length = map.length;
	ret->offset = map.offset;
	ret->path = path;
	/* With a build id, which we do not ask for, the identity fields hold that instead. */
	if (!(misc & PERF_RECORD_MISC_MMAP_BUILD_ID)) {
		ret->device = (map.major << 20) | (map.minor & 0xfffff);
		ret->inode = map.inode;
	}
	return SIDEBAND_PARSED;
}

static enum sideband_parsed parse_ksymbol(const void *body, size_t size, struct sideband_record *ret)
{
	struct ksymbol_body symbol;
	if (size <= sizeof(symbol))
		return SIDEBAND_BROKEN;
	memcpy(&symbol, body, sizeof(symbol));
	const char *name = (const char *)body + sizeof(symbol);
	if (!memchr(name, '\0', size - sizeof(symbol)))
		return SIDEBAND_BROKEN;
	ret->kind = symbol.flags & PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER ? SIDEBAND_CODE_GOES : SIDEBAND_CODE_COMES;
	ret->start = symbol.start;
	ret->length = symbol.length;
	ret->name = name;
	return SIDEBAND_PARSED;
}

enum sideband_parsed sideband_parse(const void *bytes, size_t size, struct sideband_record *ret,
				    uint64_t *ret_lost)
{
	struct perf_event_header header;
	memcpy(&header, bytes, sizeof(header));
	const uint8_t *body = (const uint8_t *)bytes + sizeof(header);
	size_t body_size = size - SIDEBAND_RECORD_MIN;

	*ret = (struct sideband_record){0};
	memcpy(&ret->time, body + body_size, sizeof(ret->time));
	switch (header.type) {
	case PERF_RECORD_FORK:
		return parse_task(body, body_size, SIDEBAND_FORK, ret);
	case PERF_RECORD_EXIT:
		return parse_task(body, body_size, SIDEBAND_EXIT, ret);
	case PERF_RECORD_COMM:
		return parse_comm(body, body_size, header.misc & PERF_RECORD_MISC_COMM_EXEC, ret);
	case PERF_RECORD_MMAP2:
		return parse_mmap2(body, body_size, header.misc, ret);
	case PERF_RECORD_KSYMBOL:
		return parse_ksymbol(body, body_size, ret);
	case PERF_RECORD_LOST: {
		struct lost_body lost;
		if (body_size < sizeof(lost))
			return SIDEBAND_BROKEN;
		memcpy(&lost, body, sizeof(lost));
		*ret_lost = lost.lost;
		return SIDEBAND_LOSS;
	}
	default:
		return SIDEBAND_SKIPPED;
	}
}
