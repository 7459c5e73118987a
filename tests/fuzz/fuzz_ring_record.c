/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the ring buffer: the input is a series of {u16 length, bytes}. What is accepted is read to
 * its end and added to an aggregate, as a recording does.
 */
#include "collect/records.h"
#include "profile/aggregate.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_path(const struct record_new_cgroup *cgroup)
{
	if (strlen(cgroup->path) >= CGROUP_PATH_SIZE)
		abort();
}

static void require_name(const struct record_oom_victim *victim)
{
	if (strnlen(victim->comm, sizeof(victim->comm)) == sizeof(victim->comm))
		abort();
}

static void use(struct aggregate *aggregate, struct process *process, const void *data, size_t size)
{
	struct ring_record record;
	if (ring_record_parse(data, size, &record) < 0)
		return;
	if (!record.sample + !record.new_binary + !record.new_cgroup + !record.fast_faults +
		    !record.oom_victim !=
	    4)
		abort();
	if (record.sample)
		aggregate_add(aggregate, record.sample, record.frames, record.trace, process);
	else if (record.new_cgroup)
		require_path(record.new_cgroup);
	else if (record.oom_victim)
		require_name(record.oom_victim);
	else if (record.new_binary && record.new_binary->header.size > size)
		abort();
	else if (record.fast_faults && record.fast_faults->header.size > size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct aggregate_limits limits = {.frames = 1000, .entries = 20};
	struct process process = {.references = 1};
	struct aggregate aggregate;
	aggregate_init(&aggregate, &limits);
	while (size > sizeof(uint16_t)) {
		uint16_t length;
		memcpy(&length, data, sizeof(length));
		data += sizeof(length);
		size -= sizeof(length);
		size_t taken = MIN_OF(length, size);
		/* Aligned, and of exactly its size: a read behind it shows. */
		void *copy = malloc(MAX_OF(taken, 1u));
		if (!copy)
			break;
		memcpy(copy, data, taken);
		use(&aggregate, &process, copy, taken);
		free(copy);
		data += taken;
		size -= taken;
	}
	aggregate_deinit(&aggregate);
	if (process.references != 1)
		abort();
	return 0;
}
