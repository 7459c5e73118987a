/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A kernel object read whole, by one helper call instead of one for each field: after other programs ran,
 * a call costs more than the bytes. Where the fields lie is CO-RE's answer, a constant to the verifier, so
 * a kernel that keeps one of them further back (RANDSTRUCT) reads it by itself and costs others nothing.
 */
#pragma once

#include "maps.bpf.h"

#define KERNEL_BLOCK_SIZE (KERNEL_BLOCK_WORDS * 8)

/* Reads the first `size` bytes of an object into scratch->block. Returns 0 or negative. */
static __always_inline int read_block(struct scratch *s, u32 size, const void *object)
{
	return bpf_probe_read_kernel(s->block, size, object);
}

/* An aligned word of the block. */
static __always_inline u64 block_u64(const struct scratch *s, u32 offset)
{
	return s->block[offset / 8 & (KERNEL_BLOCK_WORDS - 1)];
}

static __always_inline u32 block_u32(const struct scratch *s, u32 offset)
{
	return (u32)(block_u64(s, offset) >> (offset & 4) * 8);
}

/* The 8-byte field at `offset` of the object whose first `size` bytes are in the block. */
static __always_inline u64 field_u64(const struct scratch *s, u32 size, const void *object, u32 offset)
{
	u64 value = 0;

	if (offset + 8 <= size)
		return block_u64(s, offset);
	bpf_probe_read_kernel(&value, sizeof(value), (const char *)object + offset);
	return value;
}

static __always_inline u32 field_u32(const struct scratch *s, u32 size, const void *object, u32 offset)
{
	u32 value = 0;

	if (offset + 4 <= size)
		return block_u32(s, offset);
	bpf_probe_read_kernel(&value, sizeof(value), (const char *)object + offset);
	return value;
}
