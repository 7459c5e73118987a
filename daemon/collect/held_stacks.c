/* SPDX-License-Identifier: Apache-2.0 */
/* See held_stacks.h. */
#include "collect/held_stacks.h"

#include <errno.h>
#include <string.h>

#define MAX_WORDS (128U << 10) /* 1 MiB */

static size_t frame_words(const struct record_sample *sample)
{
	return (size_t)sample->kernel_frames + sample->user_frames;
}

int held_stacks_keep(struct held_stacks *held, const struct record_sample *sample,
		     const uint64_t *frames)
{
	size_t words = frame_words(sample);
	if (hash_get(&held->by_id, sample->stack_id))
		return 0;
	if (held->words + words > MAX_WORDS)
		return -ENOSPC;
	uint64_t *copy = malloc(words ? words * sizeof(*copy) : 1);
	if (!copy || hash_put(&held->by_id, sample->stack_id, (uintptr_t)copy) < 0) {
		free(copy);
		return -ENOMEM;
	}
	if (words)
		memcpy(copy, frames, words * sizeof(*copy));
	held->words += words;
	return 0;
}

uint64_t *held_stacks_take(struct held_stacks *held, const struct record_sample *sample)
{
	uint64_t value;
	if (!held->by_id.count || !hash_remove(&held->by_id, sample->stack_id, &value))
		return NULL;
	held->words -= frame_words(sample);
	return (uint64_t *)(uintptr_t)value;
}

void held_stacks_clear(struct held_stacks *held)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&held->by_id, &i));)
		free((void *)(uintptr_t)slot->value);
	hash_free(&held->by_id);
	*held = (struct held_stacks){0};
}
