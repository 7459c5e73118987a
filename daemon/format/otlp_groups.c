/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which resource a sample belongs to. A recording's profile says it; in a file it is read from the
 * labels, whose keys are the same.
 */
#include "format/otlp_encoder.h"

#include <errno.h>
#include <string.h>

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_valid(const char *key)
{
	struct text valid = {0};
	text_add_utf8(&valid, key, strlen(key));
	bool same = key[0] && valid.bytes && !strcmp(valid.bytes, key);
	text_free(&valid);
	return same;
}

enum otlp_key_class otlp_class_of_key(const char *key)
{
	static const struct {
		const char *key;
		enum otlp_key_class class;
	} whole[] = {
		{"thread.id", OTLP_KEY_THREAD_ID},
		{"thread.name", OTLP_KEY_THREAD_NAME},
		{"cpu.logical_number", OTLP_KEY_CPU},
		{PROFILE_TRACE_ID, OTLP_KEY_LINK},
		{PROFILE_SPAN_ID, OTLP_KEY_LINK},
		{"process.executable.name", OTLP_KEY_EXECUTABLE_NAME},
	}, beginnings[] = {
		{"process.context.", OTLP_KEY_OTHER}, /* labels of a program's own */
		{"process.", OTLP_KEY_PROCESS},
		{"container.", OTLP_KEY_CONTAINER},
		{"k8s.", OTLP_KEY_CONTAINER},
		{"service.", OTLP_KEY_CONTAINER},
		{"host.", OTLP_KEY_HOST},
		{"os.", OTLP_KEY_HOST},
	};
	if (!is_valid(key))
		return OTLP_KEY_INVALID;
	for (size_t i = 0; i < ARRAY_LENGTH(whole); i++)
		if (strcmp(key, whole[i].key) == 0)
			return whole[i].class;
	for (size_t i = 0; i < ARRAY_LENGTH(beginnings); i++)
		if (begins(key, beginnings[i].key))
			return beginnings[i].class;
	return OTLP_KEY_OTHER;
}

enum otlp_key_class otlp_find_class(struct otlp_encoder *e, uint32_t key)
{
	enum otlp_key_class class = otlp_class_of_key(profile_text(e->profile, key));
	e->key_classes[key] = (uint8_t)class;
	return class;
}

bool otlp_attributes_have(const struct otlp_attribute *attributes, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(attributes[i].key, key))
			return true;
	return false;
}

/* What was only guessed gives way to what an operator configured. */
static bool gives_way(const struct otlp_encoder *e, const struct profile_label *label)
{
	if (!label->is_guess)
		return false;
	return otlp_attributes_have(e->options->attributes, e->options->attribute_count,
				    profile_text(e->profile, label->key));
}

static int add_origin(struct otlp_encoder *e, const struct profile_label *labels, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum otlp_key_class class = otlp_class_of(e, labels[i].key);
		if (class < OTLP_KEY_PROCESS || class > OTLP_KEY_HOST || gives_way(e, &labels[i]) ||
		    otlp_has_key(e->origin.items, e->origin.count, labels[i].key))
			continue;
		if (array_add(&e->origin, labels[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int collect_resource(struct otlp_encoder *e, uint32_t index, struct otlp_origin *origin)
{
	*origin = (struct otlp_origin){
		.first_attribute = (uint32_t)e->origin_attributes.count,
		.is_known = true,
		.group = OTLP_NO_GROUP,
	};
	if (index == 0)
		return 0;
	const struct profile_resource *resource = &e->profile->resources.items[index - 1];
	const struct profile_label *attributes =
		&e->profile->resource_attributes.items[resource->first_attribute];
	for (uint32_t i = 0; i < resource->attribute_count; i++) {
		if (otlp_class_of(e, attributes[i].key) == OTLP_KEY_INVALID ||
		    gives_way(e, &attributes[i]) ||
		    otlp_has_key(e->origin_attributes.items + origin->first_attribute,
				 origin->attribute_count, attributes[i].key))
			continue;
		if (array_add(&e->origin_attributes, attributes[i]) < 0)
			return -ENOMEM;
		origin->attribute_count++;
	}
	return 0;
}

int otlp_collect_origin(struct otlp_encoder *e, const struct profile_sample *sample)
{
	struct otlp_origin *origin = &e->origins[sample->resource];
	int r = origin->is_known ? 0 : collect_resource(e, sample->resource, origin);
	if (r < 0 || array_reserve(&e->origin, origin->attribute_count) < 0)
		return -ENOMEM;
	if (origin->attribute_count)
		memcpy(e->origin.items, e->origin_attributes.items + origin->first_attribute,
		       origin->attribute_count * sizeof(*e->origin.items));
	e->origin.count = origin->attribute_count;
	r = add_origin(e, e->profile->labels.items + sample->first_label, sample->label_count);
	e->origin_is_resource = e->origin.count == origin->attribute_count;
	return r;
}

static bool origin_has_container(struct otlp_encoder *e)
{
	for (size_t i = 0; i < e->origin.count; i++)
		if (begins(profile_text(e->profile, e->origin.items[i].key), "container.id"))
			return true;
	return false;
}

bool otlp_class_makes_group(enum otlp_key_class class, enum otlp_grouping grouping, bool has_container)
{
	switch (class) {
	case OTLP_KEY_PROCESS:
		return grouping == OTLP_BY_PROCESS;
	case OTLP_KEY_EXECUTABLE_NAME:
		return grouping == OTLP_BY_PROCESS || (grouping == OTLP_BY_CONTAINER && !has_container);
	case OTLP_KEY_HOST:
		return true;
	default:
		return grouping != OTLP_BY_HOST;
	}
}

bool otlp_makes_group(struct otlp_encoder *e, uint32_t key)
{
	enum otlp_key_class class = otlp_class_of(e, key);
	bool has_container = class == OTLP_KEY_EXECUTABLE_NAME && origin_has_container(e);
	return otlp_class_makes_group(class, e->options->grouping, has_container);
}

/* The group of the sample whose origin was collected. */
static int find_group(struct otlp_encoder *e, uint32_t *ret)
{
	struct otlp_group group = {.first_attribute = (uint32_t)e->group_attributes.count};
	for (size_t i = 0; i < e->origin.count; i++) {
		if (!otlp_makes_group(e, e->origin.items[i].key))
			continue;
		struct profile_label attribute = e->origin.items[i];
		attribute.is_guess = 0;
		attribute.number = attribute.text ? 0 : attribute.number;
		if (array_add(&e->group_attributes, attribute) < 0)
			return -ENOMEM;
		group.attribute_count++;
	}
	size_t before = e->group_keys.count;
	const struct profile_label *attributes = e->group_attributes.items + group.first_attribute;
	if (strings_add(&e->group_keys, group.attribute_count ? (const char *)attributes : "",
			group.attribute_count * sizeof(*attributes), ret) < 0)
		return -ENOMEM;
	if (e->group_keys.count > before)
		return array_add(&e->groups, group);
	e->group_attributes.count = group.first_attribute; /* known */
	return 0;
}

/* Has the group every attribute of the origin that was collected, and can no label of a Sample be one of them? */
static bool origin_is_group(struct otlp_encoder *e)
{
	for (size_t i = 0; i < e->origin.count; i++)
		if (otlp_class_of(e, e->origin.items[i].key) > OTLP_KEY_HOST ||
		    !otlp_makes_group(e, e->origin.items[i].key))
			return false;
	return true;
}

/* ---- Items ----------------------------------------------------------------------------------- */

static int add_item(struct otlp_encoder *e, struct otlp_item item)
{
	return array_add(&e->items, item);
}

/* The part with times and the rest; each has its share of the CPU time. */
static int add_counted(struct otlp_encoder *e, struct otlp_item item)
{
	const struct profile_sample *sample = &e->profile->samples.items[item.sample];
	uint32_t times = e->options->shape == OTLP_SHAPE_TIMESTAMPS &&
					 e->options->sample_type == OTLP_SAMPLES_COUNT
				 ? sample->timestamp_count
				 : 0;
	struct otlp_item timed = item;
	if (item.count < 0)
		times = 0;
	times = (uint32_t)MIN_OF((int64_t)times, item.count);
	timed.first_timestamp = sample->first_timestamp;
	timed.timestamp_count = times;
	timed.count = times;
	timed.cpu_ns = item.count == times ? item.cpu_ns
					   : (int64_t)((__int128)item.cpu_ns * times / item.count);
	int r = times ? add_item(e, timed) : 0;
	item.count -= timed.count;
	item.cpu_ns -= times ? timed.cpu_ns : 0;
	return r == 0 && (item.count || item.cpu_ns) ? add_item(e, item) : r;
}

/* Its group, where its origin was collected; looked up once for all whose labels add nothing to a resource. */
static int find_group_of(struct otlp_encoder *e, struct otlp_origin *origin, struct otlp_item *item)
{
	if (!e->origin_is_resource || origin->group == OTLP_NO_GROUP) {
		int r = find_group(e, &item->group);
		if (r < 0)
			return r;
		item->origin_is_group = origin_is_group(e);
		if (!e->origin_is_resource)
			return 0;
		origin->group = item->group;
		origin->is_all_of_group = item->origin_is_group;
	}
	item->group = origin->group;
	item->origin_is_group = origin->is_all_of_group;
	return 0;
}

static int add_sample(struct otlp_encoder *e, uint32_t index)
{
	const struct profile *profile = e->profile;
	const int64_t *values = profile->values.items + (size_t)index * profile->sample_types.count;
	struct otlp_item item = {.sample = index, .count = 1};
	struct otlp_origin *origin = &e->origins[profile->samples.items[index].resource];
	int r = otlp_collect_origin(e, &profile->samples.items[index]);
	if (r == 0)
		r = find_group_of(e, origin, &item);
	if (r < 0)
		return r;
	if (e->samples_column >= 0)
		item.count = values[e->samples_column];
	if (e->count_column < 0)
		return add_item(e, item);
	item.count = values[e->count_column];
	item.cpu_ns = values[e->cpu_column];
	return add_counted(e, item);
}

/* Stable, so that equal profiles give equal messages. */
static int sort_items(struct otlp_encoder *e)
{
	_cleanup_free_ size_t *next = calloc(e->groups.count + 2, sizeof(*next));
	struct otlp_item *sorted = calloc(e->items.count + 1, sizeof(*sorted));
	if (!next || !sorted) {
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < e->items.count; i++)
		next[e->items.items[i].group + 1]++;
	for (size_t i = 0; i < e->groups.count; i++)
		next[i + 1] += next[i];
	for (size_t i = 0; i < e->items.count; i++)
		sorted[next[e->items.items[i].group]++] = e->items.items[i];
	free(e->items.items);
	e->items.items = sorted;
	e->items.capacity = e->items.count + 1;
	return 0;
}

int otlp_make_items(struct otlp_encoder *e)
{
	e->key_classes = calloc(e->profile->strings.count + 1, 1);
	e->origins = calloc(e->profile->resources.count + 1, sizeof(*e->origins));
	if (!e->key_classes || !e->origins ||
	    array_reserve(&e->items, e->profile->samples.count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < e->profile->samples.count; i++) {
		int r = add_sample(e, i);
		if (r < 0)
			return r;
	}
	return sort_items(e);
}
