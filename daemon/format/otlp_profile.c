/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Profile message. Items that a backend could not tell apart (same stack, link and attributes) are
 * one Sample, as the specification asks.
 */
#include "format/otlp_encoder.h"

#include "base/arithmetic.h"
#include "format/wire_writer.h"

#include <errno.h>
#include <sys/random.h>

/* ---- Samples --------------------------------------------------------------------------------- */

static bool is_wanted(const struct otlp_encoder *e, enum otlp_key_class class)
{
	static const unsigned int flags[] = {
		[OTLP_KEY_THREAD_ID] = OTLP_THREAD_ID,
		[OTLP_KEY_THREAD_NAME] = OTLP_THREAD_NAME,
		[OTLP_KEY_CPU] = OTLP_CPU,
		[OTLP_KEY_LINK] = OTLP_OTHER,
		[OTLP_KEY_OTHER] = OTLP_OTHER,
		[OTLP_KEY_INVALID] = OTLP_OTHER,
	};
	return e->options->sample_attributes & flags[class];
}

/* Adds the attribute to those from `first` of the key array on. */
static int add_attribute(struct otlp_encoder *e, const struct profile_label *label, size_t first)
{
	uint32_t attribute = otlp_label(&e->dictionary, label);
	if (array_add(&e->key, attribute) < 0)
		return -ENOMEM;
	/* A set: the order must not tell two apart. */
	for (size_t i = e->key.count - 1; i > first && e->key.items[i - 1] > attribute; i--) {
		e->key.items[i] = e->key.items[i - 1];
		e->key.items[i - 1] = attribute;
	}
	return 0;
}

static int add_attributes(struct otlp_encoder *e, const struct otlp_item *item, size_t first)
{
	const struct profile_sample *sample = &e->profile->samples.items[item->sample];
	int r = 0;
	e->origin.count = 0;
	if (!item->origin_is_group)
		r = otlp_collect_origin(e, sample);
	for (size_t i = 0; r == 0 && i < e->origin.count; i++)
		if (!otlp_makes_group(e, e->origin.items[i].key) &&
		    e->options->sample_attributes & OTLP_ORIGIN)
			r = add_attribute(e, &e->origin.items[i], first);
	const struct profile_label *labels = e->profile->labels.items + sample->first_label;
	for (uint32_t i = 0; r == 0 && i < sample->label_count; i++) {
		enum otlp_key_class class = otlp_class_of(e, labels[i].key);
		bool is_said = class <= OTLP_KEY_HOST || (class == OTLP_KEY_LINK && sample->link);
		if (is_said || !is_wanted(e, class))
			continue;
		if (class == OTLP_KEY_INVALID ||
		    otlp_has_key(e->origin.items, e->origin.count, labels[i].key) ||
		    otlp_has_key(labels, i, labels[i].key))
			e->dropped_attributes++;
		else
			r = add_attribute(e, &labels[i], first);
	}
	return r;
}

static int64_t value_of(const struct otlp_encoder *e, const struct otlp_profile_range *range,
			const struct otlp_item *item)
{
	const struct profile *profile = e->profile;
	if ((int)range->column == e->count_column)
		return item->count;
	if ((int)range->column == e->cpu_column)
		return item->cpu_ns;
	return profile->values.items[item->sample * profile->sample_types.count + range->column];
}

/* Files an item under the Sample it belongs to. */
static int add_to_slot(struct otlp_encoder *e, const struct otlp_item *item, uint32_t index,
		       int64_t value)
{
	const struct profile_sample *sample = &e->profile->samples.items[item->sample];
	struct otlp_slot slot = {.first_item = index, .last_item = index, .value = value};
	slot.stack = otlp_stack(&e->dictionary, sample);
	if (sample->link)
		slot.link = otlp_link(&e->dictionary, &e->profile->links.items[sample->link - 1]);
	size_t first = e->key.count;
	if (array_add(&e->key, slot.stack) < 0 || array_add(&e->key, slot.link) < 0 ||
	    add_attributes(e, item, first + 2) < 0)
		return -ENOMEM;
	slot.first_key = (uint32_t)first + 2;
	slot.attribute_count = (uint32_t)(e->key.count - first - 2);

	uint32_t known;
	if (strings_add(&e->sample_keys, (const char *)(e->key.items + first),
			(e->key.count - first) * sizeof(*e->key.items), &known) < 0)
		return -ENOMEM;
	e->next_item.items[index] = OTLP_NO_ITEM;
	if (known == e->slots.count)
		return array_add(&e->slots, slot);
	struct otlp_slot *same = &e->slots.items[known];
	e->key.count = first;
	e->next_item.items[same->last_item] = index;
	same->last_item = index;
	same->value = add_saturating(same->value, value);
	return 0;
}

static int fill_slots(struct otlp_encoder *e, const struct otlp_profile_range *range)
{
	strings_free(&e->sample_keys);
	e->slots.count = e->key.count = 0;
	e->dropped_attributes = 0;
	if (array_reserve(&e->next_item, range->count) < 0 ||
	    strings_expect(&e->sample_keys, range->count) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < range->count; i++) {
		const struct otlp_item *item = &range->items[i];
		int64_t value = value_of(e, range, item);
		if (!!item->timestamp_count != range->timed ||
		    (value == 0 && e->count_column < 0))
			continue;
		int r = add_to_slot(e, item, (uint32_t)i, value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static int collect_times(struct otlp_encoder *e, const struct otlp_profile_range *range,
			 const struct otlp_slot *slot)
{
	e->timestamps.count = 0;
	for (uint32_t i = slot->first_item; i != OTLP_NO_ITEM; i = e->next_item.items[i]) {
		const struct otlp_item *item = &range->items[i];
		if (array_reserve(&e->timestamps, e->timestamps.count + item->timestamp_count) < 0)
			return -ENOMEM;
		memcpy(e->timestamps.items + e->timestamps.count,
		       e->profile->timestamps.items + item->first_timestamp,
		       item->timestamp_count * sizeof(*e->timestamps.items));
		e->timestamps.count += item->timestamp_count;
	}
	if (slot->first_item != slot->last_item)
		qsort(e->timestamps.items, e->timestamps.count, sizeof(*e->timestamps.items),
		      compare_times);
	return 0;
}

/* A packed list as field 2. */
static uint8_t *attributes_at(const uint32_t *attributes, size_t count, uint8_t *at)
{
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += wire_varint_size(attributes[i]);
	if (count)
		at = wire_size_at(at, 2, size);
	for (size_t i = 0; i < count; i++)
		at = wire_varint_at(at, attributes[i]);
	return at;
}

static int write_sample(struct otlp_encoder *e, const struct otlp_profile_range *range,
			const struct otlp_slot *slot, struct text *out)
{
	if (range->timed && collect_times(e, range, slot) < 0)
		return -ENOMEM;
	size_t times = range->timed ? e->timestamps.count * sizeof(*e->timestamps.items) : 0;
	size_t bound = 6 * WIRE_NUMBER_MAX + slot->attribute_count * WIRE_VARINT_MAX + times;
	/* Its size comes before it: both are made behind where it will lie. */
	uint8_t *room = (uint8_t *)text_room(out, WIRE_NUMBER_MAX + 2 * bound);
	if (!room)
		return -ENOMEM;
	uint8_t *body = room + WIRE_NUMBER_MAX + bound, *end = wire_number_at(body, 1, slot->stack);
	end = attributes_at(e->key.items + slot->first_key, slot->attribute_count, end);
	end = wire_number_at(end, 3, slot->link);
	if (range->timed) {
		end = wire_size_at(end, 5, times);
		memcpy(end, e->timestamps.items, times);
		end += times;
	} else {
		end = wire_size_at(end, 4, wire_varint_size((uint64_t)slot->value));
		end = wire_varint_at(end, (uint64_t)slot->value);
	}
	uint8_t *at = wire_size_at(room, 2, (size_t)(end - body));
	memcpy(at, body, (size_t)(end - body));
	out->length += (size_t)(at - room) + (size_t)(end - body);
	return 0;
}

/* ---- Attributes of the Profile --------------------------------------------------------------- */

static char letter_of(char c)
{
	return c == ' ' || c == '-' ? '_' : c;
}

/* "end.deeper than max-frames" is "bolometer.end.deeper_than_max_frames". */
static uint32_t count_attribute(struct otlp_encoder *e, const char *comment, const char *equals,
				int64_t number)
{
	struct text key = {0};
	text_add_string(&key, OTLP_SCOPE_NAME ".");
	for (const char *p = comment; p < equals; p++)
		text_add_char(&key, letter_of(*p));
	uint32_t index = key.failed ? 0 : otlp_number_attribute(&e->dictionary, key.bytes, number);
	e->dictionary.failed |= key.failed;
	text_free(&key);
	return index;
}

/* What a recording counts is written "name=number", one a comment. */
static bool is_count(const char *comment, const char **ret_equals, int64_t *ret_number)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.- ";
	const char *equals = comment + strspn(comment, letters);
	uint64_t number;
	if (*equals != '=' || equals == comment ||
	    text_parse_u64(equals + 1, 0, INT64_MAX, &number) < 0)
		return false;
	*ret_equals = equals;
	*ret_number = (int64_t)number;
	return true;
}

/* All comments that are no counts, as the conventions for pprof have them: one array. */
static uint32_t comments_attribute(struct otlp_encoder *e)
{
	static const char key[] = "pprof.profile.comment";
	const struct profile *profile = e->profile;
	struct text array = {0}, value = {0};
	for (size_t i = 0; i < profile->comments.count; i++) {
		const char *comment = profile_text(profile, profile->comments.items[i]);
		const char *equals;
		int64_t number;
		if (is_count(comment, &equals, &number))
			continue;
		e->scratch.length = 0;
		otlp_put_utf8(&e->scratch, 1, comment);
		wire_put_text(&array, 1, &e->scratch);
	}
	uint32_t index = 0;
	if (array.length) {
		wire_put_text(&value, 5, &array);
		index = otlp_attribute(&e->dictionary, otlp_text(&e->dictionary, key, strlen(key)),
				       &value, 0);
	}
	text_free(&array);
	text_free(&value);
	return index;
}

/* Adds an attribute's index to the key array, where they are collected; 0 is none. */
static int add_profile_attribute(struct otlp_encoder *e, uint32_t index)
{
	return index ? array_add(&e->key, index) : 0;
}

static int add_pprof_text(struct otlp_encoder *e, const char *key, uint32_t string)
{
	return string ? add_profile_attribute(e, otlp_text_attribute(&e->dictionary, key,
								     profile_text(e->profile, string)))
		      : 0;
}

/* Do two counts, of merged profiles, get the same key? */
static bool same_name(const char *a, const char *b)
{
	for (; letter_of(*a) == letter_of(*b) && *a != '='; a++, b++)
		;
	return *a == '=' && *b == '=';
}

/* Attributes are a set: of a count that comes twice the sum is written, with the first. */
static bool sum_of_name(const struct profile *profile, size_t index, int64_t *ret)
{
	const char *name = profile_text(profile, profile->comments.items[index]), *equals;
	*ret = 0;
	for (size_t i = 0; i < profile->comments.count; i++) {
		const char *other = profile_text(profile, profile->comments.items[i]);
		int64_t number;
		if (!is_count(other, &equals, &number) || !same_name(name, other))
			continue;
		if (i < index)
			return false;
		*ret = add_saturating(*ret, number);
	}
	return true;
}

static int write_counts(struct otlp_encoder *e, struct text *out)
{
	const struct profile *profile = e->profile;
	size_t first = e->key.count;
	int r = 0;
	for (size_t i = 0; r == 0 && i < profile->comments.count; i++) {
		const char *comment = profile_text(profile, profile->comments.items[i]), *equals;
		int64_t number;
		if (is_count(comment, &equals, &number) && sum_of_name(profile, i, &number))
			r = add_profile_attribute(e, count_attribute(e, comment, equals, number));
	}
	r = r < 0 ? r : add_profile_attribute(e, comments_attribute(e));
	r = r < 0 ? r : add_pprof_text(e, "pprof.profile.doc_url", profile->doc_url);
	r = r < 0 ? r : add_pprof_text(e, "pprof.profile.drop_frames", profile->drop_frames);
	r = r < 0 ? r : add_pprof_text(e, "pprof.profile.keep_frames", profile->keep_frames);
	wire_put_packed(out, 11, e->key.items + first, e->key.count - first, &e->scratch);
	return r;
}

/* ---- The message ----------------------------------------------------------------------------- */

static void put_value_type(struct otlp_encoder *e, uint32_t field, uint32_t type, uint32_t unit,
			   struct text *out)
{
	e->scratch.length = 0;
	wire_put_number(&e->scratch, 1, type);
	wire_put_number(&e->scratch, 2, unit);
	wire_put_text(out, field, &e->scratch); /* also when empty: Parca wants it to be there */
}

/* Captured time over samples, to the nearest ns; what the profile says where it does not count both. */
static int64_t period_of(const struct otlp_encoder *e, const struct otlp_profile_range *range)
{
	__int128 count = 0, time = 0;
	for (size_t i = 0; i < range->count; i++) {
		if (!!range->items[i].timestamp_count != range->timed)
			continue;
		count += range->items[i].count;
		time += range->items[i].cpu_ns;
	}
	if (e->count_column < 0 || count <= 0 || time <= 0)
		return e->profile->period;
	return (int64_t)((time + count / 2) / count);
}

static void put_profile_id(const struct otlp_encoder *e, struct text *out)
{
	uint8_t id[OTLP_PROFILE_ID_SIZE] = {0};
	if (e->options->make_id)
		e->options->make_id(e->options->id_userdata, id);
	else if (getrandom(id, sizeof(id), 0) != sizeof(id))
		out->failed = true; /* cannot be: so few bytes come whole */
	wire_put_bytes(out, 7, id, sizeof(id));
}

static uint32_t string_of(struct otlp_encoder *e, uint32_t string)
{
	return otlp_string(&e->dictionary, string);
}

int otlp_write_profile(struct otlp_encoder *e, const struct otlp_profile_range *range,
		       struct text *out)
{
	const struct profile *profile = e->profile;
	struct profile_value_type type = profile->sample_types.items[range->column];
	int r = fill_slots(e, range);
	if (r < 0 || e->slots.count == 0)
		return r;
	put_value_type(e, 1, string_of(e, type.type), string_of(e, type.unit), out);
	for (size_t i = 0; i < e->slots.count && r == 0; i++)
		r = write_sample(e, range, &e->slots.items[i], out);
	if (r < 0)
		return r;
	wire_put_fixed64(out, 3, (uint64_t)e->start_ns);
	wire_put_number(out, 4, (uint64_t)(e->end_ns - e->start_ns));
	/* Of CPU time, whatever the period was called in a file. */
	type = e->count_column < 0 ? profile->period_type
				   : profile->sample_types.items[e->cpu_column];
	put_value_type(e, 5, string_of(e, type.type), string_of(e, type.unit), out);
	wire_put_number(out, 6, (uint64_t)period_of(e, range));
	put_profile_id(e, out);
	wire_put_number(out, 8, e->dropped_attributes);
	if (e->counts_due) {
		r = write_counts(e, out);
		e->counts_due = false;
	}
	return out->failed || e->dictionary.failed ? -ENOMEM : r;
}
