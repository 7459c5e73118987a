/* SPDX-License-Identifier: Apache-2.0 */
/* A place is written while ticks read it: first nobody's, then what it says, then whose. */
#include "collect/left_out.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static uint32_t pid_of(const struct left_out_process *process)
{
	return (uint32_t)__atomic_load_n(&process->pid_and_reason, __ATOMIC_RELAXED);
}

static int map_memory(const struct bpf_map *map, size_t size, void **ret)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (memory == MAP_FAILED)
		return -errno;
	*ret = memory;
	return 0;
}

int left_out_open(const struct bpf_map *processes, const struct bpf_map *counts, uint32_t cpus, struct left_out *ret)
{
	void *memory = NULL;
	*ret = (struct left_out){.cpus = cpus};
	if (bpf_map__max_entries(processes) < LEFT_OUT_SETS)
		return 0;
	int r = map_memory(processes, LEFT_OUT_SETS * sizeof(*ret->sets), &memory);
	if (r < 0)
		return r;
	ret->sets = memory;
	r = map_memory(counts, cpus * sizeof(*ret->counts), &memory);
	if (r < 0) {
		left_out_close(ret);
		return r;
	}
	ret->counts = memory;
	return 0;
}

void left_out_close(struct left_out *l)
{
	if (l->sets)
		munmap(l->sets, LEFT_OUT_SETS * sizeof(*l->sets));
	if (l->counts)
		munmap(l->counts, l->cpus * sizeof(*l->counts));
	*l = (struct left_out){0};
}

static struct left_out_process *place_of(struct left_out_set *set, uint32_t pid)
{
	struct left_out_process *first = &set->processes[0], *second = &set->processes[1];
	if (pid_of(first) == pid || pid_of(second) == pid)
		return pid_of(first) == pid ? first : second;
	if (!pid_of(first) || !pid_of(second))
		return !pid_of(first) ? first : second;
	return __atomic_load_n(&first->look_at, __ATOMIC_RELAXED) <=
			       __atomic_load_n(&second->look_at, __ATOMIC_RELAXED)
		       ? first
		       : second;
}

static bool is_of(const struct left_out_process *place, const struct record_sample *sample)
{
	return place->process_start == sample->process_start && place->exec_id == sample->exec_id;
}

void left_out_judge(struct left_out *l, const struct record_sample *sample, int reason)
{
	if (!l->sets || !sample->pid)
		return;
	struct left_out_process *place = place_of(&l->sets[sample->pid & (LEFT_OUT_SETS - 1)], sample->pid);
	bool is_known = pid_of(place) == sample->pid;
	uint64_t whose = reason < 0 ? 0 : sample->pid | (uint64_t)reason << 32;
	if (reason < 0 ? !is_known : place->pid_and_reason == whose && is_of(place, sample))
		return;
	__atomic_store_n(&place->pid_and_reason, 0, __ATOMIC_SEQ_CST);
	if (reason < 0)
		return;
	__atomic_store_n(&place->process_start, sample->process_start, __ATOMIC_RELAXED);
	__atomic_store_n(&place->exec_id, sample->exec_id, __ATOMIC_RELAXED);
	__atomic_store_n(&place->look_at, sample->header.time + LEFT_OUT_LOOK_NS, __ATOMIC_RELAXED);
	__atomic_store_n(&place->pid_and_reason, whose, __ATOMIC_RELEASE);
}

void left_out_clear(struct left_out *l)
{
	for (size_t i = 0; l->sets && i < LEFT_OUT_SETS; i++)
		for (size_t k = 0; k < ARRAY_LENGTH(l->sets[i].processes); k++)
			if (pid_of(&l->sets[i].processes[k]))
				__atomic_store_n(&l->sets[i].processes[k].pid_and_reason, 0, __ATOMIC_RELAXED);
}

static void add(const struct left_out_counts *counts, struct left_out_counts *sum)
{
	for (size_t i = 0; i < LEFT_OUT_REASONS; i++) {
		sum->by_reason[i].ticks += __atomic_load_n(&counts->by_reason[i].ticks, __ATOMIC_RELAXED);
		sum->by_reason[i].ns += __atomic_load_n(&counts->by_reason[i].ns, __ATOMIC_RELAXED);
	}
}

void left_out_add_counters(const struct left_out *l, uint32_t cpu, uint64_t counters[COUNTER_MAX])
{
	struct left_out_counts sum = {0};
	if (!l->counts || cpu >= l->cpus)
		return;
	add(&l->counts[cpu], &sum);
	for (size_t i = 0; i < LEFT_OUT_REASONS; i++) {
		counters[COUNTER_NOT_TAKEN] += sum.by_reason[i].ticks;
		counters[COUNTER_NOT_TAKEN_NS] += sum.by_reason[i].ns;
	}
}

void left_out_read(const struct left_out *l, struct left_out_counts *ret)
{
	*ret = (struct left_out_counts){0};
	for (uint32_t cpu = 0; l->counts && cpu < l->cpus; cpu++)
		add(&l->counts[cpu], ret);
}
