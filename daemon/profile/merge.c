/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging begins at the samples and takes what they use. Everything is interned by content: an item of a
 * source, its references already translated to the result's indices, is looked up by its bytes in a table
 * of strings. Equal bytes are one item.
 */
#include "profile/merge.h"

#include "base/arithmetic.h"
#include "profile/merge_header.h"
#include "profile/merge_states.h"

#include <errno.h>
#include <string.h>

struct merger {
	struct profile *sum;
	struct strings mappings, functions, locations, samples; /* keys; index = item's index */
	uint32_t *string_of, *mapping_of, *function_of, *location_of; /* of the source */
	ARRAY(size_t) columns; /* of each source: its value for each sample type of the sum */
	ARRAY(uint32_t) key;
	struct merge_states states;
	size_t source; /* index of the one that is being merged */
};

/* Interns `size` bytes; *ret_new tells whether they were unknown. */
static int intern(struct strings *table, const void *key, size_t size, uint32_t *ret, bool *ret_new)
{
	size_t before = table->count;
	int r = strings_add(table, key, size, ret);
	*ret_new = r == 0 && table->count > before;
	return r;
}

static int key_add(struct merger *merger, uint32_t word)
{
	return array_add(&merger->key, word);
}

static int key_intern(struct merger *merger, struct strings *table, uint32_t *ret, bool *ret_new)
{
	return intern(table, merger->key.items, merger->key.count * sizeof(uint32_t), ret, ret_new);
}

/* The following find what an index of the source is in the sum, where it is put when it is seen first;
 * PROFILE_NONE in a table: not seen yet. What no sample uses never comes into the sum. */
static int merge_string(struct merger *merger, const struct profile *source, uint32_t *index)
{
	uint32_t *known = &merger->string_of[*index];
	int r = 0;
	if (*known == PROFILE_NONE)
		r = strings_add(&merger->sum->strings, profile_text(source, *index),
				strings_length(&source->strings, *index), known);
	*index = *known;
	return r;
}

static int add_mapping(struct merger *merger, const struct profile *source,
		       struct profile_mapping mapping, uint32_t *ret)
{
	uint32_t *strings[] = {&mapping.file, &mapping.build_id, &mapping.go_build_id,
			       &mapping.htlhash};
	for (size_t i = 0; i < ARRAY_LENGTH(strings); i++)
		if (merge_string(merger, source, strings[i]) < 0)
			return -ENOMEM;
	uint64_t key[5] = {mapping.build_id ? mapping.build_id : mapping.file,
			   mapping.build_id != 0, mapping.start, mapping.limit, mapping.offset};
	bool is_new;
	int r = intern(&merger->mappings, key, sizeof(key), ret, &is_new);
	if (r < 0 || is_new)
		return r < 0 ? r : array_add(&merger->sum->mappings, mapping);
	struct profile_mapping *known = &merger->sum->mappings.items[*ret];
	known->has_functions |= mapping.has_functions;
	known->has_filenames |= mapping.has_filenames;
	known->has_line_numbers |= mapping.has_line_numbers;
	known->has_inline_frames |= mapping.has_inline_frames;
	return 0;
}

static int merge_mapping(struct merger *merger, const struct profile *source, uint32_t *index)
{
	if (*index == PROFILE_NONE)
		return 0;
	uint32_t *known = &merger->mapping_of[*index];
	int r = *known != PROFILE_NONE
			? 0
			: add_mapping(merger, source, source->mappings.items[*index], known);
	*index = *known;
	return r;
}

static int add_function(struct merger *merger, const struct profile *source,
			struct profile_function function, uint32_t *ret)
{
	if (merge_string(merger, source, &function.name) < 0 ||
	    merge_string(merger, source, &function.system_name) < 0 ||
	    merge_string(merger, source, &function.file) < 0)
		return -ENOMEM;
	bool is_new;
	int r = intern(&merger->functions, &function, sizeof(function), ret, &is_new);
	return r < 0 || !is_new ? r : array_add(&merger->sum->functions, function);
}

static int merge_function(struct merger *merger, const struct profile *source, uint32_t *index)
{
	if (*index == PROFILE_NONE)
		return 0;
	uint32_t *known = &merger->function_of[*index];
	int r = *known != PROFILE_NONE
			? 0
			: add_function(merger, source, source->functions.items[*index], known);
	*index = *known;
	return r;
}

/* Its lines go to the end of the sum's; whoever finds the location known takes them away again. */
static int add_lines(struct merger *merger, const struct profile *source,
		     const struct profile_location *location)
{
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < location->line_count; i++) {
		struct profile_line line = source->lines.items[location->first_line + i];
		r = merge_function(merger, source, &line.function);
		if (r == 0)
			r = array_add(&merger->sum->lines, line);
	}
	return r;
}

static int location_key(struct merger *merger, const struct profile_location *location,
			const struct profile_line *lines)
{
	merger->key.count = 0;
	int r = key_add(merger, location->mapping);
	r = r < 0 ? r : key_add(merger, (uint32_t)location->address);
	r = r < 0 ? r : key_add(merger, (uint32_t)(location->address >> 32));
	r = r < 0 ? r : key_add(merger, (uint32_t)location->type << 1 | location->is_folded);
	for (uint32_t i = 0; r == 0 && i < location->line_count; i++) {
		r = key_add(merger, lines[i].function);
		r = r < 0 ? r : key_add(merger, lines[i].line);
		r = r < 0 ? r : key_add(merger, lines[i].column);
	}
	return r;
}

static int add_location(struct merger *merger, const struct profile *source,
			struct profile_location location, uint32_t *ret)
{
	struct profile *sum = merger->sum;
	size_t first = sum->lines.count;
	bool is_new = false;
	int r = merge_mapping(merger, source, &location.mapping);
	if (r == 0)
		r = add_lines(merger, source, &location);
	if (r == 0)
		r = location_key(merger, &location, sum->lines.items + first);
	if (r == 0)
		r = key_intern(merger, &merger->locations, ret, &is_new);
	if (r < 0 || !is_new) {
		sum->lines.count = first;
		return r;
	}
	location.first_line = (uint32_t)first;
	return array_add(&sum->locations, location);
}

static int merge_locations(struct merger *merger, const struct profile *source,
			   const struct profile_sample *sample)
{
	const uint32_t *indices = source->stack_locations.items + sample->first_location;
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < sample->location_count; i++) {
		uint32_t *known = &merger->location_of[indices[i]];
		if (*known == PROFILE_NONE)
			r = add_location(merger, source, source->locations.items[indices[i]], known);
	}
	return r;
}

static int merge_label(struct merger *merger, const struct profile *source,
		       struct profile_label *label)
{
	int r = merge_string(merger, source, &label->key);
	r = r < 0 ? r : merge_string(merger, source, &label->text);
	return r < 0 ? r : merge_string(merger, source, &label->unit);
}

static int sample_key(struct merger *merger, const struct profile *source,
		      const struct profile_sample *sample)
{
	merger->key.count = 0;
	int r = key_add(merger, sample->location_count);
	for (uint32_t i = 0; r == 0 && i < sample->location_count; i++)
		r = key_add(merger, merger->location_of[source->stack_locations.items
								[sample->first_location + i]]);
	for (uint32_t i = 0; r == 0 && i < sample->label_count; i++) {
		struct profile_label label = source->labels.items[sample->first_label + i];
		r = merge_label(merger, source, &label);
		r = r < 0 ? r : key_add(merger, label.key);
		r = r < 0 ? r : key_add(merger, label.text);
		r = r < 0 ? r : key_add(merger, (uint32_t)label.number);
		r = r < 0 ? r : key_add(merger, (uint32_t)((uint64_t)label.number >> 32));
		r = r < 0 ? r : key_add(merger, label.unit);
	}
	return r;
}

static int add_new_sample(struct merger *merger, const struct profile *source,
			  const struct profile_sample *sample)
{
	struct profile *sum = merger->sum;
	struct profile_sample added = {
		.first_location = (uint32_t)sum->stack_locations.count,
		.location_count = sample->location_count,
		.first_label = (uint32_t)sum->labels.count,
		.label_count = sample->label_count,
	};
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < sample->location_count; i++)
		r = array_add(&sum->stack_locations, merger->key.items[1 + i]);
	for (uint32_t i = 0; r == 0 && i < sample->label_count; i++) {
		struct profile_label label = source->labels.items[sample->first_label + i];
		r = merge_label(merger, source, &label);
		if (r == 0)
			r = array_add(&sum->labels, label);
	}
	for (size_t i = 0; r == 0 && i < sum->sample_types.count; i++)
		r = array_add(&sum->values, 0);
	return r < 0 ? r : array_add(&sum->samples, added);
}

static int merge_sample(struct merger *merger, const struct profile *source, size_t index)
{
	const struct profile_sample *sample = &source->samples.items[index];
	struct profile *sum = merger->sum;
	uint32_t target = 0;
	bool is_new = false;
	int r = merge_locations(merger, source, sample);
	if (r == 0)
		r = sample_key(merger, source, sample);
	if (r == 0)
		r = key_intern(merger, &merger->samples, &target, &is_new);
	if (r == 0 && is_new)
		r = add_new_sample(merger, source, sample);
	if (r < 0)
		return r;
	size_t types = sum->sample_types.count;
	bool state_counts = merge_states_count(&merger->states, source, merger->source, sample);
	for (size_t i = 0; i < types; i++) {
		if (!state_counts && merge_is_state(sum, sum->sample_types.items[i]))
			continue;
		int64_t value = source->values.items[index * source->sample_types.count +
						     merger->columns.items[i]];
		int64_t *total = &sum->values.items[target * types + i];
		*total = add_saturating(*total, value);
	}
	return 0;
}

static int merge_comments(struct merger *merger, const struct profile *source)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < source->comments.count; i++) {
		uint32_t comment = source->comments.items[i];
		r = merge_string(merger, source, &comment);
		if (r == 0)
			r = array_add(&merger->sum->comments, comment);
	}
	return r;
}

/* By convention the first mapping is the main program's: it stays first, used or not. */
static int merge_items(struct merger *merger, const struct profile *source)
{
	uint32_t first = source->mappings.count ? 0 : PROFILE_NONE;
	int r = merge_mapping(merger, source, &first);
	for (size_t i = 0; r == 0 && i < source->samples.count; i++)
		r = merge_sample(merger, source, i);
	return r == 0 ? merge_comments(merger, source) : r;
}

static uint32_t *new_table(size_t count)
{
	uint32_t *table = malloc((count + 1) * sizeof(*table));
	for (size_t i = 0; table && i < count; i++)
		table[i] = PROFILE_NONE;
	return table;
}

static int merge_source(struct merger *merger, const struct profile *source)
{
	_cleanup_free_ uint32_t *strings = new_table(source->strings.count);
	_cleanup_free_ uint32_t *mappings = new_table(source->mappings.count);
	_cleanup_free_ uint32_t *functions = new_table(source->functions.count);
	_cleanup_free_ uint32_t *locations = new_table(source->locations.count);
	if (!strings || !mappings || !functions || !locations)
		return -ENOMEM;
	merger->string_of = strings;
	merger->mapping_of = mappings;
	merger->function_of = functions;
	merger->location_of = locations;
	merger->columns.count = 0;
	for (size_t i = 0; i < merger->sum->sample_types.count; i++) {
		struct profile_value_type type = merger->sum->sample_types.items[i];
		if (array_add(&merger->columns, merge_find_type(merger->sum, type, source)) < 0)
			return -ENOMEM;
	}
	return merge_items(merger, source);
}

static void merger_release(struct merger *merger)
{
	profile_free(merger->sum);
	strings_free(&merger->mappings);
	strings_free(&merger->functions);
	strings_free(&merger->locations);
	strings_free(&merger->samples);
	array_free(&merger->columns);
	array_free(&merger->key);
	merge_states_free(&merger->states);
}

int profile_merge(const struct profile *const *profiles, size_t count, struct profile **ret)
{
	_cleanup_(merger_release) struct merger merger = {0};
	if (count == 0)
		return -EINVAL;
	int r = profile_new(&merger.sum);
	if (r == 0)
		r = merge_sample_types(merger.sum, profiles, count);
	if (r == 0)
		r = merge_header(merger.sum, profiles, count);
	if (r == 0)
		r = merge_states_init(&merger.states, profiles, count);
	for (; r == 0 && merger.source < count; merger.source++)
		r = merge_source(&merger, profiles[merger.source]);
	if (r == 0)
		*ret = take_pointer(merger.sum);
	return r;
}
