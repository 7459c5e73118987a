/* SPDX-License-Identifier: Apache-2.0 */
/* See records.h; bpf/wire.h has the layouts. */
#include "collect/records.h"

#include <errno.h>
#include <string.h>

/* Moves *offset past the optional part between a sample and its frames. */
static int skip_labels(const struct record_sample *sample, size_t size, size_t *offset)
{
	if (!(sample->flags & SAMPLE_HAS_LABELS))
		return 0;
	const struct record_labels *labels =
		(const struct record_labels *)((const char *)sample + *offset);
	if (*offset + sizeof(*labels) > size || labels->size % sizeof(uint64_t))
		return -EBADMSG;
	*offset += sizeof(*labels) + labels->size;
	return 0;
}

static int parse_sample(const struct record_sample *sample, size_t size, struct ring_record *ret)
{
	size_t offset = sizeof(*sample);
	if (size < offset)
		return -EBADMSG;
	ret->sample = sample;
	if (skip_labels(sample, size, &offset) < 0 || offset > size)
		return -EBADMSG;
	if (sample->flags & SAMPLE_HAS_TRACE) { /* the last part */
		if (size - offset < sizeof(struct record_trace))
			return -EBADMSG;
		size -= sizeof(struct record_trace);
		ret->trace = (const struct record_trace *)((const char *)sample + size);
	}
	if (!(sample->flags & SAMPLE_HAS_STACK))
		return 0;
	size_t words = (size_t)sample->kernel_frames + sample->user_frames;
	if (words > (size - offset) / sizeof(uint64_t))
		return -EBADMSG;
	ret->frames = (const uint64_t *)((const char *)sample + offset);
	return 0;
}

static int parse_cgroup(const struct record_new_cgroup *cgroup, size_t size, struct ring_record *ret)
{
	if (size < sizeof(*cgroup) || !memchr(cgroup->path, '\0', sizeof(cgroup->path)))
		return -EBADMSG;
	ret->new_cgroup = cgroup;
	return 0;
}

static int parse_victim(const struct record_oom_victim *victim, size_t size, struct ring_record *ret)
{
	if (size < sizeof(*victim) || !memchr(victim->comm, '\0', sizeof(victim->comm)))
		return -EBADMSG;
	ret->oom_victim = victim;
	return 0;
}

int ring_record_parse(const void *data, size_t size, struct ring_record *ret)
{
	const struct record_header *header = data;
	if (size < sizeof(*header) || header->version != WIRE_VERSION || header->size > size ||
	    header->size < sizeof(*header))
		return -EBADMSG;
	*ret = (struct ring_record){.kind = header->kind};
	if (header->kind == RECORD_SAMPLE)
		return parse_sample(data, header->size, ret);
	if (header->kind == RECORD_NEW_CGROUP)
		return parse_cgroup(data, header->size, ret);
	if (header->kind == RECORD_OOM_VICTIM)
		return parse_victim(data, header->size, ret);
	if (header->kind == RECORD_FAST_FAULTS) {
		ret->fast_faults = data;
		return header->size < sizeof(*ret->fast_faults) ? -EBADMSG : 0;
	}
	if (header->kind != RECORD_NEW_BINARY || header->size < sizeof(struct record_new_binary))
		return -EBADMSG;
	ret->new_binary = data;
	return 0;
}
