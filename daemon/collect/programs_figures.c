/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs counted, and what they cost: memory and run time, as the kernel accounts them.
 */
#include "collect/programs.h"

#include "base/log.h"
#include "base/text.h"
#include "bolometer.skel.h"
#include "collect/tick_state.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is counted for a walk, that of a CPU's events with its ticks. */
static int read_walk(const struct programs *programs, uint32_t walk, uint64_t ret[COUNTER_MAX])
{
	const struct bolometer_bpf *s = programs->skeleton;
	if (bpf_map_lookup_elem(bpf_map__fd(s->maps.counters), &walk, ret) < 0)
		return -errno;
	if (walk >= (uint32_t)programs->cpu_count)
		return 0;
	left_out_add_counters(&programs->left_out, walk, ret);
	return tick_state_add_counters(s->maps.ticks, walk, ret);
}

void programs_read_counters(const struct programs *programs, uint64_t counters[COUNTER_MAX])
{
	memset(counters, 0, COUNTER_MAX * sizeof(*counters));
	for (uint32_t walk = 0; walk < programs->walk_count; walk++) {
		uint64_t values[COUNTER_MAX];
		if (read_walk(programs, walk, values) < 0)
			continue;
		for (size_t i = 0; i < COUNTER_MAX; i++)
			counters[i] += values[i];
	}
}

void programs_read_growth(const struct programs *programs, uint32_t cpu, uint64_t *faults, uint64_t *samples)
{
	uint64_t values[COUNTER_MAX];
	if (bpf_map_lookup_elem(bpf_map__fd(programs->skeleton->maps.counters), &cpu, values) < 0)
		return;
	*faults = values[COUNTER_GROWTH_FAULTS];
	*samples = values[COUNTER_GROWTH_SAMPLES];
}

void programs_log_counters(const struct programs *programs)
{
	static const char *const names[] = {
#define COUNTER_NAME(id, name, what) name,
		BOLOMETER_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
	};
	for (uint32_t walk = 0; walk < programs->walk_count; walk++) {
		uint64_t values[COUNTER_MAX];
		struct text line = {0};
		if (read_walk(programs, walk, values) == 0)
			for (size_t i = 0; i < COUNTER_MAX; i++)
				if (values[i])
					text_add(&line, " %s=%llu", names[i],
						 (unsigned long long)values[i]);
		if (line.bytes)
			log_debug("CPU %u%s:%s", walk % (uint32_t)programs->cpu_count,
				  walk < (uint32_t)programs->cpu_count ? "" : " (memory)", line.bytes);
		text_free(&line);
	}
}

/* The value of "name:\tN" in an fdinfo file, or 0. */
static uint64_t fdinfo_number(int fd, const char *name)
{
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	uint64_t number = 0;
	size_t length = strlen(name);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			number = strtoull(line + length + 1, NULL, 10);
	fclose(file);
	return number;
}

/* None of the maps grows: all have the memory for their entries from the start. */
uint64_t programs_map_bytes(struct programs *programs)
{
	uint64_t bytes = 0;
	struct bpf_map *map;
	if (programs->map_bytes)
		return programs->map_bytes;
	bpf_object__for_each_map(map, programs->skeleton->obj)
		bytes += fdinfo_number(bpf_map__fd(map), "memlock");
	programs->map_bytes = bytes;
	return bytes;
}

static bool is_on_allocators(const struct bolometer_bpf *s, const struct bpf_program *program)
{
	return program == s->progs.on_allocator_call || program == s->progs.on_allocator_return ||
	       program == s->progs.on_allocator_session;
}

uint64_t programs_run_ns(const struct programs *programs, bool with_allocators)
{
	const struct bolometer_bpf *s = programs->skeleton;
	struct bpf_program *program;
	uint64_t run_ns = 0;
	bpf_object__for_each_program(program, s->obj) {
		struct bpf_prog_info info = {0};
		uint32_t size = sizeof(info);
		if (!with_allocators && is_on_allocators(s, program))
			continue;
		int fd = bpf_program__fd(program); /* negative: it is not loaded */
		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
			run_ns += info.run_time_ns;
	}
	return run_ns;
}
