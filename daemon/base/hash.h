/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open-addressing hash tables with linear probing: one keyed by a 64-bit integer, one keyed by
 * bytes. Both map to a 64-bit value that the caller interprets (an index or a pointer).
 * Iteration order is unspecified. Tables shrink only when they are cleared, by half, if they were nearly empty.
 *
 * The integer table is seeded per process: pids, inode numbers and addresses come from outside
 * and must not be able to choose our collisions.
 */
#pragma once

#include "base/attributes.h"

/* 64-bit finaliser with full avalanche (murmur3's fmix64 constants, public domain). */
static inline uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	x ^= x >> 33;
	return x;
}

/* Hash of `size` bytes with the process seed. */
uint64_t hash_bytes(const void *data, size_t size);

struct hash_slot {
	uint64_t key;
	uint64_t value;
	bool used;
};

/* Integer-keyed table. Zero-initialise; free with hash_free(). */
struct hash {
	struct hash_slot *slots;
	size_t capacity; /* power of two, or 0 */
	size_t count;
};

/* Pointer to the value stored under `key`, or NULL. Valid until the next put or remove. */
uint64_t *hash_get(const struct hash *h, uint64_t key);

/* Stores `value` under `key`, replacing what was there. Returns 0 or -ENOMEM. */
int hash_put(struct hash *h, uint64_t key, uint64_t value);

/* Removes `key`. Returns true if it was there; its value goes to *ret_value unless NULL. */
bool hash_remove(struct hash *h, uint64_t key, uint64_t *ret_value);

/* Removes all; room is kept for about as much as there was. */
void hash_clear(struct hash *h);
void hash_free(struct hash *h);

/* for (size_t i = 0; (slot = hash_next(h, &i));) ...  Do not put or remove meanwhile. */
struct hash_slot *hash_next(const struct hash *h, size_t *cursor);

/*
 * Interns byte strings: equal bytes give equal indices 0, 1, 2, … in order of first sight.
 * Zero-initialise; free with strings_free(). The bytes are copied and owned by the table.
 */
struct strings {
	char *bytes; /* all strings, each followed by a NUL */
	size_t bytes_used, bytes_capacity;
	uint32_t *offsets; /* index -> offset in bytes; offsets[count] is bytes_used */
	size_t count, capacity;
	uint32_t *buckets; /* index + 1, 0 = empty */
	size_t bucket_count;
};

/* Index of the string, added when new. Returns 0 or -ENOMEM (also past 4 GiB of text). */
int strings_add(struct strings *s, const char *text, size_t length, uint32_t *ret_index);

/* The index of a string that is there. */
bool strings_find(const struct strings *s, const char *text, size_t length, uint32_t *ret_index);

/* Makes room for so many strings at once, which saves finding it again and again. Returns 0 or -ENOMEM. */
int strings_expect(struct strings *s, size_t count);

/* Same as strings_add() for a C string. */
int strings_add_text(struct strings *s, const char *text, uint32_t *ret_index);

/* The NUL-terminated string of an index < count; valid until the next add. */
static inline const char *strings_get(const struct strings *s, uint32_t index)
{
	return s->bytes + s->offsets[index];
}

static inline size_t strings_length(const struct strings *s, uint32_t index)
{
	return s->offsets[index + 1] - s->offsets[index] - 1;
}

void strings_free(struct strings *s);
