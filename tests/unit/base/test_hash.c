/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash tables beside a plain array that is the truth: random puts, removals and look-ups, with so
 * few keys that clusters form and are taken apart again.
 */
#include "base/hash.h"

#include "base/array.h"
#include "base/recent_hash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 300
#define STEPS 60000

static uint64_t draw(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return hash_mix(*state);
}

struct truth {
	bool used[KEYS];
	uint64_t values[KEYS];
	size_t count;
};

/* Small keys and such that differ in their highest bits only. */
static uint64_t key_of(size_t index)
{
	return index % 2 ? index : (uint64_t)index << 54;
}

static void put(struct hash *h, struct truth *truth, size_t index, uint64_t value)
{
	assert_int_equal(hash_put(h, key_of(index), value), 0);
	truth->count += !truth->used[index];
	truth->used[index] = true;
	truth->values[index] = value;
}

static void take(struct hash *h, struct truth *truth, size_t index)
{
	uint64_t value = 0;
	assert_int_equal(hash_remove(h, key_of(index), &value), truth->used[index]);
	if (truth->used[index])
		assert_int_equal(value, truth->values[index]);
	truth->count -= truth->used[index];
	truth->used[index] = false;
}

static void compare(const struct hash *h, const struct truth *truth)
{
	size_t seen = 0;
	struct hash_slot *slot;
	assert_int_equal(h->count, truth->count);
	for (size_t i = 0; i < KEYS; i++) {
		const uint64_t *value = hash_get(h, key_of(i));
		assert_int_equal(value != NULL, truth->used[i]);
		if (value)
			assert_int_equal(*value, truth->values[i]);
	}
	for (size_t i = 0; (slot = hash_next(h, &i)); seen++)
		assert_ptr_equal(hash_get(h, slot->key), &slot->value);
	assert_int_equal(seen, truth->count);
}

static void test_integers(void **state)
{
	struct hash h = {0};
	struct truth truth = {0};
	uint64_t random = 1;
	assert_null(hash_get(&h, 5));
	assert_false(hash_remove(&h, 5, NULL));
	for (size_t step = 0; step < STEPS; step++) {
		size_t index = draw(&random) % KEYS;
		/* Fills up and empties in turn. */
		if (draw(&random) % 100 < (step / 5000 % 2 ? 30 : 70))
			put(&h, &truth, index, draw(&random));
		else
			take(&h, &truth, index);
		if (step % 500 == 0)
			compare(&h, &truth);
	}
	compare(&h, &truth);
	assert_true(h.capacity <= 1024);
	hash_clear(&h);
	assert_int_equal(h.count, 0);
	assert_null(hash_get(&h, key_of(1)));
	hash_free(&h);
	assert_null(h.slots);
}

/* A burst's room is given back by and by, never what was used of late. */
static void test_clear_shrinks(void **state)
{
	struct hash h = {0};
	for (uint64_t key = 0; key < 6000; key++)
		assert_int_equal(hash_put(&h, key, key), 0);
	size_t full = h.capacity;
	hash_clear(&h);
	assert_int_equal(h.capacity, full);
	for (int round = 0; round < 20; round++) {
		for (uint64_t key = 0; key < 100; key++) {
			assert_null(hash_get(&h, key));
			assert_int_equal(hash_put(&h, key, key + 1), 0);
		}
		hash_clear(&h);
		assert_int_equal(h.count, 0);
	}
	assert_int_equal(h.capacity, 512);
	for (int round = 0; round < 20; round++)
		hash_clear(&h);
	assert_true(h.capacity > 0 && h.capacity <= 16);
	assert_int_equal(hash_put(&h, 1, 2), 0);
	assert_int_equal(*hash_get(&h, 1), 2);
	hash_free(&h);
	hash_clear(&h);
	assert_null(h.slots);
}

static void test_strings(void **state)
{
	struct strings s = {0};
	char text[32];
	uint32_t index;
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 5000; i++) {
			snprintf(text, sizeof(text), "string %u", i);
			assert_int_equal(strings_add_text(&s, text, &index), 0);
			assert_int_equal(index, i);
		}
	}
	assert_int_equal(s.count, 5000);
	for (uint32_t i = 0; i < 5000; i++) {
		int length = snprintf(text, sizeof(text), "string %u", i);
		assert_string_equal(strings_get(&s, i), text);
		assert_int_equal(strings_length(&s, i), length);
	}
	strings_free(&s);
}

/* Bytes are bytes: a NUL within them, a prefix, nothing at all. */
static void test_strings_by_bytes(void **state)
{
	struct strings s = {0};
	uint32_t a, b, c, d, again;
	assert_int_equal(strings_add(&s, "ab\0c", 4, &a), 0);
	assert_int_equal(strings_add(&s, "ab\0d", 4, &b), 0);
	assert_int_equal(strings_add(&s, "ab", 2, &c), 0);
	assert_int_equal(strings_add(&s, "", 0, &d), 0);
	assert_int_equal(strings_add(&s, "ab\0d", 4, &again), 0);
	assert_true(a != b && b != c && a != c && d != c);
	assert_int_equal(again, b);
	assert_int_equal(strings_length(&s, a), 4);
	assert_memory_equal(strings_get(&s, a), "ab\0c", 5);
	assert_string_equal(strings_get(&s, d), "");
	strings_free(&s);
}

static void test_bytes(void **state)
{
	static const char bytes[] = "0123456789abcdef0123456789abcdef";
	for (size_t size = 0; size < sizeof(bytes); size++) {
		assert_int_equal(hash_bytes(bytes, size), hash_bytes(bytes, size));
		for (size_t other = 0; other < size; other++)
			assert_true(hash_bytes(bytes, size) != hash_bytes(bytes, other));
	}
}

static void test_array(void **state)
{
	ARRAY(uint32_t) numbers = {0};
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(array_add(&numbers, i * 3), 0);
	assert_int_equal(numbers.count, 1000);
	assert_true(numbers.capacity >= 1000 && numbers.capacity < 2000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(numbers.items[i], i * 3);
	uint32_t *before = numbers.items;
	assert_int_equal(array_reserve(&numbers, 10), 0);
	assert_ptr_equal(numbers.items, before);
	/* What cannot be had changes nothing, also where the bytes do not fit a size. */
	assert_int_equal(array_reserve(&numbers, SIZE_MAX / 2), -ENOMEM);
	assert_int_equal(array_reserve(&numbers, SIZE_MAX), -ENOMEM);
	assert_ptr_equal(numbers.items, before);
	assert_int_equal(numbers.items[999], 2997);
	array_shrink(&numbers, 513);
	assert_int_equal(numbers.capacity, 1024);
	numbers.count = 100;
	array_shrink(&numbers, 512);
	assert_int_equal(numbers.capacity, 512);
	array_shrink(&numbers, numbers.count);
	assert_int_equal(numbers.capacity, 128);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(numbers.items[i], i * 3);
	numbers.count = 0;
	array_shrink(&numbers, 0);
	assert_int_equal(numbers.capacity, 8);
	array_free(&numbers);
	array_shrink(&numbers, 0);
	assert_null(numbers.items);
	assert_int_equal(numbers.capacity, 0);
}

/* What is asked for stays however much else comes; what is not goes, not before as many others came as the limit says. */
static void test_recent(void **state)
{
	enum { LIMIT = 50 };
	struct recent_hash h = {.limit = LIMIT};
	assert_null(recent_hash_get(&h, 1));
	assert_int_equal(recent_hash_put(&h, 1, 11), 0);
	assert_int_equal(recent_hash_put(&h, 2, 22), 0);
	for (uint64_t key = 100; key < 100 + 10 * LIMIT; key++) {
		assert_int_equal(recent_hash_put(&h, key, key), 0);
		const uint64_t *value = recent_hash_get(&h, 1);
		assert_true(value && *value == 11);
		value = recent_hash_get(&h, key - (key - 100) % (LIMIT / 2));
		assert_true(value && *value == key - (key - 100) % (LIMIT / 2));
		assert_true(h.young.count <= LIMIT && h.old.count <= LIMIT);
	}
	assert_null(recent_hash_get(&h, 2));
	assert_int_equal(recent_hash_put(&h, 1, 12), 0);
	assert_int_equal(*recent_hash_get(&h, 1), 12);
	recent_hash_free(&h);
	assert_null(recent_hash_get(&h, 1));
	assert_int_equal(h.limit, LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_clear_shrinks),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_strings_by_bytes),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_array),
		cmocka_unit_test(test_recent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
