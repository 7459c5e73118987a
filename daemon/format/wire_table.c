/* SPDX-License-Identifier: Apache-2.0 */
/* Linear probing at a load of at most a half. Entries are told apart by their hashes before their bytes. */
#include "format/wire_table.h"

#include "base/hash.h"
#include "format/wire_writer.h"

#include <errno.h>

/* Of a message below 128 bytes, as nearly all are: the field's number and the size. */
#define SHORT_HEAD 2
#define SHORT_SIZE 128
#define LEAST_SLOTS 64
#define EXPECTED_SIZE ((size_t)16) /* of an entry */

static void put_slot(struct wire_table *t, struct wire_slot slot)
{
	size_t i = slot.hash & (t->slot_count - 1);
	while (t->slots[i].number)
		i = (i + 1) & (t->slot_count - 1);
	t->slots[i] = slot;
}

static int make_slots(struct wire_table *t, size_t count)
{
	struct wire_table old = *t;
	t->slots = calloc(count, sizeof(*t->slots));
	if (!t->slots) {
		t->slots = old.slots;
		return -ENOMEM;
	}
	t->slot_count = count;
	for (size_t i = 0; i < old.slot_count; i++)
		if (old.slots[i].number)
			put_slot(t, old.slots[i]);
	free(old.slots);
	return 0;
}

int wire_table_reset(struct wire_table *t, uint32_t field, size_t expected)
{
	uint32_t zero;
	size_t count = LEAST_SLOTS;
	while (count < 2 * expected)
		count *= 2;
	t->field = field;
	t->wire.length = 0;
	t->entries.count = 0;
	if (t->slot_count)
		memset(t->slots, 0, t->slot_count * sizeof(*t->slots));
	if (array_reserve(&t->entries, expected + 1) < 0 || !text_room(&t->wire, expected * EXPECTED_SIZE) ||
	    (count > t->slot_count && make_slots(t, count) < 0))
		return -ENOMEM;
	const uint8_t *room = wire_table_room(t, 0);
	return room ? wire_table_add(t, room, &zero) : -ENOMEM;
}

void wire_table_free(struct wire_table *t)
{
	text_free(&t->wire);
	array_free(&t->entries);
	free(t->slots);
	*t = (struct wire_table){0};
}

uint8_t *wire_table_room(struct wire_table *t, size_t size)
{
	uint8_t *room = (uint8_t *)text_room(&t->wire, size + WIRE_NUMBER_MAX);
	return room ? room + SHORT_HEAD : NULL;
}

/* The slot of these bytes, or the empty one where they belong. */
static struct wire_slot *find_slot(const struct wire_table *t, const char *bytes, size_t size, uint32_t hash)
{
	for (size_t i = hash & (t->slot_count - 1);; i = (i + 1) & (t->slot_count - 1)) {
		struct wire_slot *slot = &t->slots[i];
		if (!slot->number)
			return slot;
		if (slot->hash != hash)
			continue;
		const struct wire_entry *entry = &t->entries.items[slot->number - 1];
		if (entry->size == size && !memcmp(t->wire.bytes + entry->offset, bytes, size))
			return slot;
	}
}

/* Puts the head before the message, which moves when that is longer. */
static int keep(struct wire_table *t, size_t size)
{
	uint8_t *head = (uint8_t *)t->wire.bytes + t->wire.length;
	size_t head_size = size < SHORT_SIZE ? SHORT_HEAD : wire_size_of_size(t->field, size);
	struct wire_entry entry = {(uint32_t)(t->wire.length + head_size), (uint32_t)size};
	if (t->wire.length + head_size + size > UINT32_MAX || array_add(&t->entries, entry) < 0)
		return -ENOMEM;
	if (head_size > SHORT_HEAD)
		memmove(head + head_size, head + SHORT_HEAD, size);
	wire_size_at(head, t->field, size);
	t->wire.length += head_size + size;
	return 0;
}

int wire_table_add(struct wire_table *t, const uint8_t *end, uint32_t *ret_index)
{
	const char *bytes = t->wire.bytes + t->wire.length + SHORT_HEAD;
	size_t size = (size_t)((const char *)end - bytes);
	uint32_t hash = (uint32_t)hash_bytes(bytes, size);
	struct wire_slot *slot = find_slot(t, bytes, size, hash);
	if (slot->number) {
		*ret_index = slot->number - 1;
		return 0;
	}
	if (keep(t, size) < 0)
		return -ENOMEM;
	*slot = (struct wire_slot){hash, (uint32_t)t->entries.count};
	*ret_index = slot->number - 1;
	return 2 * t->entries.count > t->slot_count ? make_slots(t, 2 * t->slot_count) : 0;
}
