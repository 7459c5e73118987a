/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of bounded size that forgets what nobody asked for lately. It has two generations: what is read or written is in
 * the young one; when that has `limit` entries it becomes the old one, in place of the one before. So an entry stays while
 * fewer than `limit` others are written, there are twice that many at most, and forgetting costs no look at each.
 */
#pragma once

#include "base/hash.h"

/* Zero-initialise but for the limit, above 0; free with recent_hash_free(). */
struct recent_hash {
	struct hash young, old;
	size_t limit;
};

/* Pointer to the value stored under `key`, or NULL. Valid until the next call. */
const uint64_t *recent_hash_get(struct recent_hash *h, uint64_t key);

/* Stores `value` under `key`, replacing what was there. Returns 0 or -ENOMEM. */
int recent_hash_put(struct recent_hash *h, uint64_t key, uint64_t value);

/* Removes all, not the limit. */
void recent_hash_free(struct recent_hash *h);
