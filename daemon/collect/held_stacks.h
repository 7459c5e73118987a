/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks that came with a sample nobody wanted. The BPF side sends a stack whole once; when its sample
 * is rejected (its executable turned out not to be selected), a later and wanted sample may refer to
 * it. So the frames are kept until then, up to a limit.
 */
#pragma once

#include "base/hash.h"
#include "bpf/wire.h"

/* Zero-initialise; free with held_stacks_clear(). */
struct held_stacks {
	struct hash by_id; /* stack id -> the frame words, owned */
	size_t words;
};

/* Keeps a copy of the sample's frames. Returns 0, -ENOSPC past the limit or -ENOMEM: then the stacks have
 * to be sent again, and these can be cleared. */
int held_stacks_keep(struct held_stacks *held, const struct record_sample *sample,
		     const uint64_t *frames);

/* The frames of the sample's stack, then the caller's; NULL when they are not held. */
uint64_t *held_stacks_take(struct held_stacks *held, const struct record_sample *sample);

/* Forgets and frees all. */
void held_stacks_clear(struct held_stacks *held);
