/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helpers of bpf/, and the walk between them. This file sees the kernel's types and not the C
 * library's: __bpf__ chooses them in bpf/wire.h.
 */
#define __bpf__
#include "bpf/unwind.bpf.h"

#include "unwinder.h"

static struct replay_world *current; /* the world of this walk */
static struct scratch the_scratch;
static struct cpu_counters the_counters;
static u32 kernel_reads; /* of this walk */

int replay_field_exists(const char *field)
{
	if (!__builtin_strcmp(field, "with_maple_tree->mm_mt"))
		return !current->red_black_tree;
	/* Of uprobes the recorded objects tell nothing. */
	return __builtin_strcmp(field, "mm->uprobes_state") && __builtin_strcmp(field, "task->utask");
}

long bpf_probe_read_user(void *to, u32 size, const void *address)
{
	if (current->read_user(current->userdata, to, size, (u64)address) == 0)
		return 0;
	__builtin_memset(to, 0, size);
	return -14;
}

long bpf_probe_read_kernel(void *to, u32 size, const void *address)
{
	u64 offset = (u64)address - REPLAY_KERNEL_BASE;

	if ((u64)address - (u64)&the_scratch < sizeof(the_scratch)) { /* what is kept of another process */
		__builtin_memcpy(to, address, size);
		return 0;
	}
	kernel_reads++;
	if (offset <= current->kernel_size && size <= current->kernel_size - offset) {
		__builtin_memcpy(to, current->kernel + offset, size);
		return 0;
	}
	__builtin_memset(to, 0, size);
	return -14;
}

static void *find_binary(const struct binary_key *key)
{
	for (u32 i = 0; i < current->binary_count; i++)
		if (!__builtin_memcmp(&current->binaries[i].key, key, sizeof(*key)))
			return &current->binaries[i].entry;
	return 0;
}

/* Segments have no memory of their own: each stands for its part of `chunks`. */
static char segments[ARENA_MAX_SEGMENTS];

static void *find_chunk(const char *segment, u32 chunk)
{
	u32 index = (u32)(segment - segments) * ARENA_SEGMENT_CHUNKS + chunk;

	return chunk < ARENA_SEGMENT_CHUNKS && index < current->chunk_count ? current->chunks[index] : 0;
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
	u32 index = *(const u32 *)key;

	if (map == &scratches)
		return index == 0 ? &the_scratch : 0;
	if (map == &counters)
		return index == 0 ? &the_counters : 0;
	if (map == &binaries)
		return find_binary(key);
	if (map == &arena)
		return index < ARENA_MAX_SEGMENTS ? &segments[index] : 0;
	if ((char *)map >= segments && (char *)map < segments + ARENA_MAX_SEGMENTS)
		return find_chunk(map, index);
	__builtin_trap(); /* nothing else is looked up in a walk */
}

long bpf_map_update_elem(void *map, const void *key, const void *value, u64 flags)
{
	if (map != &binaries || flags != BPF_NOEXIST)
		__builtin_trap();
	if (find_binary(key))
		return -17;
	if (current->binary_count >= current->binary_capacity)
		return -7;
	struct replay_binary *added = &current->binaries[current->binary_count++];
	__builtin_memcpy(&added->key, key, sizeof(added->key));
	__builtin_memcpy(&added->entry, value, sizeof(added->entry));
	return 0;
}

long bpf_ringbuf_output(void *map, void *bytes, u64 size, u64 flags)
{
	return map == &ring && size == sizeof(struct record_new_binary) ? 0 : -1;
}

u64 bpf_get_current_task(void)
{
	return 0;
}

struct task_struct *bpf_get_current_task_btf(void)
{
	return 0;
}

long bpf_task_pt_regs(struct task_struct *task)
{
	return 0;
}

void replay_reset(void)
{
	__builtin_memset(&the_scratch, 0, sizeof(the_scratch));
	__builtin_memset(&the_counters, 0, sizeof(the_counters));
}

/* As describe_task(). */
static void describe_process(struct replay_world *world, struct scratch *s)
{
	current = world;
	s->mm = (struct mm_struct *)current->mm;
	s->sequence = mm_sequence(s->mm);
	s->sample.pid = 1;
	s->sample.process_start = current->process_start;
	s->sample.exec_id = current->exec_id;
	kernel_reads = 0;
	know_process(s, 0);
}

void replay_refuse(struct replay_world *world)
{
	describe_process(world, &the_scratch);
}

void replay_unwind(struct replay_world *world, const u64 *registers, struct replay_stack *ret)
{
	struct scratch *s = &the_scratch;

	describe_process(world, s);
	s->sample.flags = 0;
	s->sample.kernel_frames = 0;
	s->sample.user_frames = 0;
	s->hash = stack_seed;
	s->after_kernel_entry = 0;
	take_registers(s, (const struct user_registers *)registers);
	s->lookup_pc = s->pc;
	unwind_user(0, s);
	ret->end = s->sample.end;
	ret->kernel_reads = kernel_reads;
	ret->count = s->sample.user_frames;
	if (ret->count > MAX_USER_FRAMES)
		__builtin_trap();
	__builtin_memcpy(ret->frames, s->frames, ret->count * sizeof(u64));
}
