/* SPDX-License-Identifier: Apache-2.0 */
/* What is read from the wire of a table are its entries in order, whatever their sizes, and equal ones are one. */
#include "format/wire_table.h"

#include "format/wire_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define FIELD 7
#define ENTRIES 1000U

/* Sizes around those where the head grows, and often the same. */
static size_t size_of(uint32_t i)
{
	return i % 10 == 0 ? 120 + i % 16 : i % 100 == 1 ? 16380 + i % 7 : 5 + i % 5;
}

static uint32_t add(struct wire_table *table, uint32_t i)
{
	size_t size = size_of(i);
	uint32_t index;
	uint8_t *room = wire_table_room(table, size);
	assert_non_null(room);
	memset(room, (uint8_t)(i * 31), size);
	memcpy(room, &i, sizeof(i));
	assert_int_equal(wire_table_add(table, room + size, &index), 0);
	return index;
}

static void check_wire(const struct wire_table *table)
{
	struct wire_reader reader = {(const uint8_t *)table->wire.bytes,
				     (const uint8_t *)table->wire.bytes + table->wire.length};
	struct wire_field field;
	assert_int_equal(wire_next(&reader, &field), 1);
	assert_int_equal(field.bytes.end - field.bytes.next, 0); /* the zero value */
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint32_t number;
		assert_int_equal(wire_next(&reader, &field), 1);
		assert_int_equal(field.number, FIELD);
		assert_int_equal(field.bytes.end - field.bytes.next, size_of(i));
		memcpy(&number, field.bytes.next, sizeof(number));
		assert_int_equal(number, i);
		assert_int_equal(field.bytes.end[-1], (uint8_t)(i * 31));
	}
	assert_int_equal(wire_next(&reader, &field), 0);
}

static void fill(struct wire_table *table, size_t expected)
{
	assert_int_equal(wire_table_reset(table, FIELD, expected), 0);
	for (uint32_t i = 0; i < ENTRIES; i++)
		assert_int_equal(add(table, i), i + 1);
	size_t length = table->wire.length;
	for (uint32_t i = 0; i < ENTRIES; i++)
		assert_int_equal(add(table, i), i + 1);
	assert_int_equal(table->wire.length, length);
	check_wire(table);
}

/* Also more than were expected, and a second time in the same memory. */
static void test_table(void **state)
{
	struct wire_table table = {0};
	fill(&table, 0);
	fill(&table, 10 * ENTRIES);
	fill(&table, 1);
	wire_table_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
