/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repeated field of small messages in which equal ones are there once: the table of a dictionary. Entries lie
 * one behind the other as they will be written, each with its head. A new one is made in place behind the last;
 * when it is known already, its room is used again. So no entry is copied until all are, at once.
 */
#pragma once

#include "base/array.h"
#include "base/text.h"

struct wire_entry {
	uint32_t offset, size; /* of the message, which follows its head */
};

struct wire_slot {
	uint32_t hash;
	uint32_t number; /* index + 1; 0: empty */
};

/* Zero-initialise; free with wire_table_free(). */
struct wire_table {
	uint32_t field; /* 1 to 15 */
	struct text wire;
	ARRAY(struct wire_entry) entries;
	struct wire_slot *slots;
	size_t slot_count; /* a power of two, or 0 */
};

/* Empties it and adds the empty message, with index 0. There will be about `expected` entries. Returns 0 or
 * -ENOMEM. */
int wire_table_reset(struct wire_table *table, uint32_t field, size_t expected);
void wire_table_free(struct wire_table *table);

/* Where a message of at most `size` bytes may be made; valid until the next call. NULL: out of memory. */
uint8_t *wire_table_room(struct wire_table *table, size_t size);

/* Adds the message that was made there and ends before `end`. Returns 0 or -ENOMEM. */
int wire_table_add(struct wire_table *table, const uint8_t *end, uint32_t *ret_index);
