/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A sample from its first field to the ring: what is known when it begins, the id of its stack, and whether the daemon
 * has that stack already. One that the ring has no room for is counted by what it would have stood for.
 */
#pragma once

#include "context.bpf.h"
#include "maps.bpf.h"

/* Begins a sample of `weight` (in the unit of its event) at `time`, CLOCK_MONOTONIC ns, without frames. */
static __always_inline void describe_sample(struct scratch *s, u32 cpu, u32 event, u64 time,
					    u64 weight)
{
	s->sample.header.version = WIRE_VERSION;
	s->sample.header.kind = RECORD_SAMPLE;
	s->sample.header.time = time;
	s->sample.weight = weight;
	s->sample.cpu = cpu;
	s->sample.event = event;
	s->sample.kernel_frames = 0;
	s->sample.user_frames = 0;
	s->hash = stack_seed;
	s->sample.end = STACK_END_COMPLETE;
}

/* Seeded 64-bit hash over the frame words, never 0. Addresses outside files mean nothing without their
 * process, so then its identity is part of the hash. */
static __always_inline u64 finish_stack_id(const struct scratch *s)
{
	u64 hash = s->hash;

	if (s->sample.flags & SAMPLE_HAS_ADDRESSES)
		hash = hash_frame(hash, s->sample.process_start ^ (u64)s->sample.pid << 40);
	hash *= 0xc4ceb9fe1a85ec53ULL;
	hash ^= hash >> 32;
	return hash ? hash : 1;
}

static __always_inline void count_sent(struct cpu_counters *c, const struct scratch *s)
{
	if (s->sample.event == EVENT_CPU) {
		c->values[COUNTER_SAMPLES]++;
		c->values[COUNTER_CAPTURED_NS] += s->sample.weight;
	} else if (s->sample.event == EVENT_ALLOCATION) {
		c->values[COUNTER_HEAP_STACKS]++;
	} else {
		c->values[COUNTER_GROWTH_SAMPLES]++;
		c->values[COUNTER_GROWTH_BYTES] += s->sample.weight;
	}
}

static __always_inline void count_lost(struct cpu_counters *c, const struct scratch *s)
{
	if (s->sample.event == EVENT_CPU) {
		c->values[COUNTER_LOST_RING_FULL]++;
		c->values[COUNTER_LOST_NS] += s->sample.weight;
	} else if (s->sample.event == EVENT_ALLOCATION) {
		c->values[COUNTER_HEAP_STACKS_LOST]++;
	} else {
		c->values[COUNTER_GROWTH_LOST]++;
		c->values[COUNTER_GROWTH_LOST_BYTES] += s->sample.weight;
	}
}

static __always_inline bool is_stack_sent(u64 id, u64 mark)
{
	u32 at = id & (STACKS_SENT_SIZE - 1);
	u64 *sent = bpf_map_lookup_elem(&stacks_sent, &at);

	return sent && *sent == mark;
}

static __always_inline void note_stack_sent(struct cpu_counters *c, u64 id, u64 mark)
{
	u32 at = id & (STACKS_SENT_SIZE - 1);
	u64 *sent = bpf_map_lookup_elem(&stacks_sent, &at);

	if (sent)
		*sent = mark;
	c->values[COUNTER_STACKS_SENT]++;
}

/* Sends the sample, with its stack unless the daemon has it. Returns whether it went. */
__noinline int send_sample(u32 walk)
{
	struct scratch *s = scratch_of(walk);
	struct cpu_counters *c = bpf_map_lookup_elem(&counters, &walk);

	if (!s || !c)
		return 0;
	u64 id = finish_stack_id(s);
	u64 mark = id + stack_epoch;
	u64 *recent = &s->recent_stacks[id & (RECENT_STACKS - 1)];
	bool known = *recent == mark || is_stack_sent(id, mark);
	u32 words = known ? 0 : s->sample.kernel_frames + s->sample.user_frames;
	if (words > MAX_SAMPLE_WORDS)
		words = MAX_SAMPLE_WORDS;
	if (!known)
		s->sample.flags |= SAMPLE_HAS_STACK;
	s->sample.stack_id = id;
	u64 size = sizeof(s->sample) + words * sizeof(u64);
	if (s->sample.flags & SAMPLE_HAS_TRACE)
		size += append_context(s, words);
	s->sample.header.size = size;
	/* Asking the ring touches what other CPUs write: each CPU asks now and then. */
	u64 wake = BPF_RB_NO_WAKEUP;
	s->unlooked_bytes += size;
	if (s->unlooked_bytes >= ring_look_bytes) {
		s->unlooked_bytes = 0;
		if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= ring_wake_bytes)
			wake = BPF_RB_FORCE_WAKEUP;
	}
	if (bpf_ringbuf_output(&ring, &s->sample, size, wake)) {
		count_lost(c, s);
		return 0;
	}
	*recent = mark;
	if (!known)
		note_stack_sent(c, id, mark);
	count_sent(c, s);
	return 1;
}
