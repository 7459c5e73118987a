/* SPDX-License-Identifier: Apache-2.0 */
/* Linear probing at a load of at most 3/4; removal shifts the cluster back, so no tombstones. */
#include "base/hash.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#define SMALLEST_CAPACITY 16

/* Threads that hash for the first time at once agree on the seed that was stored first. */
static uint64_t hash_seed(void)
{
	static _Atomic uint64_t seed;
	uint64_t known = atomic_load_explicit(&seed, memory_order_relaxed), drawn;
	if (__builtin_expect(known != 0, 1))
		return known;
	if (getrandom(&drawn, sizeof(drawn), GRND_NONBLOCK) != sizeof(drawn))
		drawn = (uintptr_t)&seed; /* ASLR is the fallback entropy */
	drawn |= 1;
	return atomic_compare_exchange_strong(&seed, &known, drawn) ? drawn : known;
}

static uint64_t read_word(const unsigned char *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof(word));
	return word;
}

/* Fewer than 8 bytes, whose number the hash has already: every byte is in it, some twice. */
static uint64_t hash_tail(const unsigned char *p, size_t size)
{
	uint32_t first, last;
	if (size == 0)
		return 0;
	if (size < 4)
		return (uint64_t)p[0] << 16 | (uint64_t)p[size / 2] << 8 | p[size - 1];
	memcpy(&first, p, sizeof(first));
	memcpy(&last, p + size - sizeof(last), sizeof(last));
	return (uint64_t)first << 32 | last;
}

/* The last word overlaps the one before it, which saves looking at single bytes. */
uint64_t hash_bytes(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t h = hash_seed() ^ (size * 0x9e3779b97f4a7c15ULL);
	if (size < 8)
		return hash_mix(h ^ hash_tail(p, size));
	for (const unsigned char *end = p + size - 8; p < end; p += 8) {
		h = (h ^ read_word(p)) * 0x9fb21c651e98df25ULL;
		h ^= h >> 32;
	}
	return hash_mix(h ^ read_word((const unsigned char *)data + size - 8));
}

static size_t hash_home(const struct hash *h, uint64_t key)
{
	return hash_mix(key ^ hash_seed()) & (h->capacity - 1);
}

static struct hash_slot *hash_find(const struct hash *h, uint64_t key)
{
	size_t i = hash_home(h, key);
	while (h->slots[i].used && h->slots[i].key != key)
		i = (i + 1) & (h->capacity - 1);
	return &h->slots[i];
}

static int hash_grow(struct hash *h)
{
	struct hash grown = {.capacity = h->capacity ? h->capacity * 2 : SMALLEST_CAPACITY};
	grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
	if (!grown.slots)
		return -ENOMEM;
	for (size_t i = 0; i < h->capacity; i++)
		if (h->slots[i].used)
			*hash_find(&grown, h->slots[i].key) = h->slots[i];
	grown.count = h->count;
	free(h->slots);
	*h = grown;
	return 0;
}

uint64_t *hash_get(const struct hash *h, uint64_t key)
{
	if (h->count == 0)
		return NULL;
	struct hash_slot *slot = hash_find(h, key);
	return slot->used ? &slot->value : NULL;
}

int hash_put(struct hash *h, uint64_t key, uint64_t value)
{
	if ((h->count + 1) * 4 > h->capacity * 3 && hash_grow(h) < 0)
		return -ENOMEM;
	struct hash_slot *slot = hash_find(h, key);
	if (!slot->used)
		h->count++;
	*slot = (struct hash_slot){.key = key, .value = value, .used = true};
	return 0;
}

bool hash_remove(struct hash *h, uint64_t key, uint64_t *ret_value)
{
	if (h->count == 0)
		return false;
	struct hash_slot *hole = hash_find(h, key);
	if (!hole->used)
		return false;
	if (ret_value)
		*ret_value = hole->value;
	size_t mask = h->capacity - 1;
	size_t empty = (size_t)(hole - h->slots);
	for (size_t i = (empty + 1) & mask; h->slots[i].used; i = (i + 1) & mask) {
		size_t home = hash_home(h, h->slots[i].key);
		/* An entry may fill the hole unless its home lies between the hole and itself. */
		if (((i - home) & mask) >= ((i - empty) & mask)) {
			h->slots[empty] = h->slots[i];
			empty = i;
		}
	}
	h->slots[empty].used = false;
	h->count--;
	return true;
}

/* A table that was filled once would else be cleared in its whole length for ever. */
static void shrink_emptied(struct hash *h)
{
	struct hash_slot *slots = realloc(h->slots, h->capacity / 2 * sizeof(*slots));
	if (!slots)
		return;
	h->slots = slots;
	h->capacity /= 2;
}

void hash_clear(struct hash *h)
{
	bool was_nearly_empty = h->capacity > SMALLEST_CAPACITY && h->count * 8 < h->capacity;
	h->count = 0;
	if (was_nearly_empty)
		shrink_emptied(h);
	if (h->slots)
		memset(h->slots, 0, h->capacity * sizeof(*h->slots));
}

void hash_free(struct hash *h)
{
	free(h->slots);
	*h = (struct hash){0};
}

struct hash_slot *hash_next(const struct hash *h, size_t *cursor)
{
	while (*cursor < h->capacity) {
		struct hash_slot *slot = &h->slots[(*cursor)++];
		if (slot->used)
			return slot;
	}
	return NULL;
}

static int strings_rehash(struct strings *s, size_t bucket_count)
{
	uint32_t *buckets = calloc(bucket_count, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->count; i++) {
		size_t b = hash_bytes(strings_get(s, i), strings_length(s, i)) & (bucket_count - 1);
		while (buckets[b])
			b = (b + 1) & (bucket_count - 1);
		buckets[b] = i + 1;
	}
	free(s->buckets);
	s->buckets = buckets;
	s->bucket_count = bucket_count;
	return 0;
}

static int strings_reserve(struct strings *s, size_t length)
{
	if (s->bytes_used + length + 1 > UINT32_MAX)
		return -ENOMEM;
	if (s->bytes_used + length + 1 > s->bytes_capacity) {
		size_t capacity = MAX_OF(s->bytes_capacity * 2, s->bytes_used + length + 256);
		char *bytes = realloc(s->bytes, capacity);
		if (!bytes)
			return -ENOMEM;
		s->bytes = bytes;
		s->bytes_capacity = capacity;
	}
	if (s->count + 2 > s->capacity) {
		size_t capacity = s->capacity ? s->capacity * 2 : 64;
		uint32_t *offsets = realloc(s->offsets, capacity * sizeof(*offsets));
		if (!offsets)
			return -ENOMEM;
		s->offsets = offsets;
		s->capacity = capacity;
	}
	if ((s->count + 1) * 4 <= s->bucket_count * 3)
		return 0;
	return strings_rehash(s, s->bucket_count ? s->bucket_count * 2 : 64);
}

#define EXPECTED_LENGTH ((size_t)16)

int strings_expect(struct strings *s, size_t count)
{
	size_t bucket_count = 64;
	if (count + 2 > s->capacity) {
		uint32_t *offsets = realloc(s->offsets, (count + 2) * sizeof(*offsets));
		if (!offsets)
			return -ENOMEM;
		s->offsets = offsets;
		s->capacity = count + 2;
	}
	if (count * EXPECTED_LENGTH > s->bytes_capacity) {
		char *bytes = realloc(s->bytes, count * EXPECTED_LENGTH);
		if (!bytes)
			return -ENOMEM;
		s->bytes = bytes;
		s->bytes_capacity = count * EXPECTED_LENGTH;
	}
	while (count * 4 > bucket_count * 3)
		bucket_count *= 2;
	return bucket_count > s->bucket_count ? strings_rehash(s, bucket_count) : 0;
}

/* The bucket of the string, or the empty one where it belongs. */
static size_t strings_bucket(const struct strings *s, const char *text, size_t length)
{
	size_t b = hash_bytes(text, length) & (s->bucket_count - 1);
	for (; s->buckets[b]; b = (b + 1) & (s->bucket_count - 1)) {
		uint32_t i = s->buckets[b] - 1;
		if (strings_length(s, i) == length && !memcmp(strings_get(s, i), text, length))
			break;
	}
	return b;
}

bool strings_find(const struct strings *s, const char *text, size_t length, uint32_t *ret_index)
{
	size_t b = s->count ? strings_bucket(s, text, length) : 0;
	if (!s->count || !s->buckets[b])
		return false;
	*ret_index = s->buckets[b] - 1;
	return true;
}

int strings_add(struct strings *s, const char *text, size_t length, uint32_t *ret_index)
{
	if (strings_reserve(s, length) < 0)
		return -ENOMEM;
	size_t b = strings_bucket(s, text, length);
	if (s->buckets[b]) {
		*ret_index = s->buckets[b] - 1;
		return 0;
	}
	s->buckets[b] = (uint32_t)s->count + 1;
	s->offsets[s->count] = (uint32_t)s->bytes_used;
	memcpy(s->bytes + s->bytes_used, text, length);
	s->bytes[s->bytes_used + length] = '\0';
	s->bytes_used += length + 1;
	s->offsets[s->count + 1] = (uint32_t)s->bytes_used;
	*ret_index = (uint32_t)s->count++;
	return 0;
}

int strings_add_text(struct strings *s, const char *text, uint32_t *ret_index)
{
	return strings_add(s, text, strlen(text), ret_index);
}

void strings_free(struct strings *s)
{
	free(s->bytes);
	free(s->offsets);
	free(s->buckets);
	*s = (struct strings){0};
}
