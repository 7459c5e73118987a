/* SPDX-License-Identifier: Apache-2.0 */
/* See stack_sums.h. Names are looked up once for each location; a stack is then a row of numbers. */
#include "profile/stack_sums.h"

#include "base/arithmetic.h"

#include <errno.h>
#include <stdlib.h>
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

/* ---- Stacks by names ------------------------------------------------------------------------- */

struct named_stacks {
	struct strings names, stacks;
	ARRAY(uint32_t) frames;	     /* of all locations, one behind the other: the name of each of their lines */
	size_t *first_of_location;   /* in `frames`; its last is their count */
	ARRAY(uint32_t) stack;	     /* the one that is looked up */
};

static void named_stacks_free(struct named_stacks *named)
{
	strings_free(&named->names);
	strings_free(&named->stacks);
	array_free(&named->frames);
	array_free(&named->stack);
	free(named->first_of_location);
}

static int find_names(const struct profile *profile, struct named_stacks *named)
{
	size_t count = profile->locations.count;
	int r = 0;
	named->first_of_location = calloc(count + 1, sizeof(*named->first_of_location));
	if (!named->first_of_location)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct profile_location *location = &profile->locations.items[i];
		for (uint32_t line = 0; r == 0 && line < MAX_OF(location->line_count, 1u); line++) {
			char buffer[512];
			uint32_t name = 0;
			r = strings_add_text(&named->names,
					     profile_frame_name(profile, location, line, buffer, sizeof(buffer)), &name);
			if (r == 0)
				r = array_add(&named->frames, name);
		}
		named->first_of_location[i + 1] = named->frames.count;
	}
	return r;
}

/* Equal stacks get one number, a new one the next. */
static int number_stack(const struct profile *profile, uint32_t sample, struct named_stacks *named, uint32_t *ret)
{
	static const uint32_t nothing;
	const struct profile_sample *s = &profile->samples.items[sample];
	named->stack.count = 0;
	for (uint32_t i = 0; i < s->location_count; i++) {
		uint32_t location = profile->stack_locations.items[s->first_location + i];
		for (size_t k = named->first_of_location[location]; k < named->first_of_location[location + 1]; k++)
			if (array_add(&named->stack, named->frames.items[k]) < 0)
				return -ENOMEM;
	}
	const uint32_t *stack = named->stack.count ? named->stack.items : &nothing;
	return strings_add(&named->stacks, (const char *)stack, named->stack.count * sizeof(*stack), ret);
}

/* ---- Sums ------------------------------------------------------------------------------------ */

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
	_cleanup_(named_stacks_free) struct named_stacks named = {0};
	int r = find_columns(profile, &columns);
	if (r == 0)
		r = find_names(profile, &named);
	for (uint32_t i = 0; r == 0 && i < profile->samples.count; i++) {
		uint32_t index;
		r = number_stack(profile, i, &named, &index);
		if (r == 0 && index == *count)
			r = add_record(i, records, count, capacity, record_size);
		if (r == 0)
			add_values(profile, i, &columns, (char *)*records + index * record_size);
	}
	return r;
}
