/* SPDX-License-Identifier: Apache-2.0 */
/* See stack_sums.h. */
#include "profile/stack_sums.h"

#include "base/arithmetic.h"

#include <errno.h>
#include <string.h>

#define MAX_COLUMNS 16

struct columns {
	const struct stack_column *items;
	size_t count;
	int at[MAX_COLUMNS]; /* where each is among the sample types, -1: nowhere */
	stack_class_callback class_of;
};

static int find_columns(const struct profile *profile, struct columns *columns)
{
	if (columns->count > MAX_COLUMNS)
		return -EINVAL;
	for (size_t i = 0; i < columns->count; i++) {
		columns->at[i] = profile_find_sample_type(profile, columns->items[i].type);
		if (columns->items[i].is_needed && columns->at[i] < 0)
			return -ENODATA;
	}
	return 0;
}

static int add_record(uint32_t sample, void **items, size_t *count, size_t *capacity, size_t item_size)
{
	int r = array_reserve_bytes(items, capacity, *count + 1, item_size);
	if (r < 0)
		return r;
	char *record = (char *)*items + (*count)++ * item_size;
	memset(record, 0, item_size);
	memcpy(record, &sample, sizeof(sample));
	return 0;
}

static void add_values(const struct profile *profile, uint32_t sample, const struct columns *columns, char *record)
{
	const int64_t *values = &profile->values.items[(size_t)sample * profile->sample_types.count];
	unsigned class = columns->class_of ? columns->class_of(profile, &profile->samples.items[sample]) : 0;
	for (size_t i = 0; i < columns->count; i++) {
		const struct stack_column *column = &columns->items[i];
		int64_t *field = (int64_t *)(record + column->field) + (column->has_classes ? class : 0);
		if (columns->at[i] >= 0)
			*field = add_saturating(*field, values[columns->at[i]]);
	}
}

int stack_sums_collect_bytes(const struct profile *profile, const struct stack_column *items, size_t column_count,
			     stack_class_callback class_of, void **records, size_t *count, size_t *capacity,
			     size_t record_size)
{
	struct columns columns = {.items = items, .count = column_count, .class_of = class_of};
	struct strings stacks = {0};
	int r = find_columns(profile, &columns);
	for (uint32_t i = 0; r == 0 && i < profile->samples.count; i++) {
		uint32_t index;
		r = profile_number_stack(profile, i, &stacks, &index);
		if (r == 0 && index == *count)
			r = add_record(i, records, count, capacity, record_size);
		if (r == 0)
			add_values(profile, i, &columns, (char *)*records + index * record_size);
	}
	strings_free(&stacks);
	return r;
}
