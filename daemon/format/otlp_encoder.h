/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the OTLP encoder share. Samples are first sorted into groups, one for each resource
 * (otlp_groups.c). Each becomes one or two items, which are what messages are filled with: a message is
 * made of a range of items (otlp_message.c), and a range that comes out too large is made again in parts
 * (otlp_encode.c).
 */
#pragma once

#include "format/otlp.h"
#include "format/otlp_dictionary.h"

#define OTLP_SCOPE_NAME "bolometer" /* Parca shows it as the profile's name */

/* What an attribute of a sample says, by its key. */
enum otlp_key_class {
	OTLP_KEY_UNKNOWN, /* not looked at yet */
	OTLP_KEY_PROCESS, /* of the resource, in this grouping or that */
	OTLP_KEY_EXECUTABLE_NAME,
	OTLP_KEY_CONTAINER,
	OTLP_KEY_HOST,
	OTLP_KEY_THREAD_ID,
	OTLP_KEY_THREAD_NAME,
	OTLP_KEY_CPU,
	OTLP_KEY_LINK, /* what a sample's link says, as a label */
	OTLP_KEY_OTHER,
	OTLP_KEY_INVALID, /* empty, or not UTF-8: no attribute may have it */
};

/* What a resource of the model says, collected when a sample of it comes. */
struct otlp_origin {
	uint32_t first_attribute; /* index into origin_attributes */
	uint32_t attribute_count;
	bool is_known;
	uint32_t group; /* of samples whose labels add nothing; OTLP_NO_GROUP: not looked up */
	bool is_all_of_group; /* the same as of an item; known with the group */
};

#define OTLP_NO_GROUP UINT32_MAX

struct otlp_group {
	uint32_t first_attribute; /* index into group_attributes */
	uint32_t attribute_count;
};

/* A sample, or the part of it that has times, or some of these. */
struct otlp_item {
	uint32_t sample;
	uint32_t group;
	uint32_t first_timestamp;
	uint32_t timestamp_count; /* 0: without times */
	bool origin_is_group;	  /* all that its origin says, the resource will say: nothing is left for the Sample */
	int64_t count;		  /* events; of profiles that do not count, 1 */
	int64_t cpu_ns;
};

#define OTLP_NO_ITEM UINT32_MAX

/* A Sample being put together: all items with its stack, link and attributes. */
struct otlp_slot {
	uint32_t first_item, last_item;
	uint32_t stack, link;
	uint32_t first_key, attribute_count; /* its attributes: in the key */
	int64_t value;
};

struct otlp_encoder {
	const struct profile *profile;
	const struct otlp_options *options;
	struct otlp_statistics *statistics;
	int count_column, cpu_column; /* of values; -1: the profile does not count CPU time */
	int samples_column; /* of events, of any kind; -1: each sample counts as one */
	int64_t start_ns, end_ns;     /* holds every timestamp */

	uint8_t *key_classes; /* enum otlp_key_class of each string of the model */
	ARRAY(struct otlp_group) groups;
	ARRAY(struct profile_label) group_attributes;
	struct strings group_keys; /* index = group's */
	struct otlp_origin *origins; /* of each resource of the model, and of none (0) */
	ARRAY(struct profile_label) origin_attributes;
	ARRAY(struct profile_label) origin; /* of the sample being looked at: resource and labels */
	bool origin_is_resource; /* the labels added nothing to it */
	ARRAY(struct otlp_item) items; /* sorted by group */

	/* Of the message being made. */
	struct otlp_dictionary dictionary;
	struct strings sample_keys; /* stack, link, attributes; index = slot's */
	ARRAY(uint32_t) key;
	ARRAY(struct otlp_slot) slots;
	ARRAY(uint32_t) next_item; /* of each item: the next of its slot, or OTLP_NO_ITEM */
	ARRAY(uint64_t) timestamps;
	struct text message, profile_message, scope_message, resource_message, sample, scratch;
	uint32_t dropped_attributes; /* of the Profile: invalid, or twice in one sample */
	bool counts_due; /* no Profile has the profile's counts yet */
};

/* Sorts samples into groups and fills `items`. Returns 0 or -ENOMEM. */
int otlp_make_items(struct otlp_encoder *encoder);

static inline bool otlp_has_key(const struct profile_label *labels, size_t count, uint32_t key)
{
	for (size_t i = 0; i < count; i++)
		if (labels[i].key == key)
			return true;
	return false;
}

#define OTLP_UNKNOWN_SERVICE "unknown_service" /* what the conventions say when nothing tells a service's name */

/* What an attribute of this key says; OTLP_KEY_INVALID when none may have it. */
enum otlp_key_class otlp_class_of_key(const char *key);

/* Does an attribute of this class tell groups apart? */
bool otlp_class_makes_group(enum otlp_key_class class, enum otlp_grouping grouping, bool has_container);

/* Is there one of that key? */
bool otlp_attributes_have(const struct otlp_attribute *attributes, size_t count, const char *key);

enum otlp_key_class otlp_find_class(struct otlp_encoder *encoder, uint32_t key);

static inline enum otlp_key_class otlp_class_of(struct otlp_encoder *encoder, uint32_t key)
{
	enum otlp_key_class known = (enum otlp_key_class)encoder->key_classes[key];
	return known == OTLP_KEY_UNKNOWN ? otlp_find_class(encoder, key) : known;
}

/* Fills `origin` with where a sample comes from: its resource's attributes, and of its labels those that
 * say so. Returns 0 or -ENOMEM. */
int otlp_collect_origin(struct otlp_encoder *encoder, const struct profile_sample *sample);

/* Is this attribute of the origin one that makes groups, so that the resource has it? */
bool otlp_makes_group(struct otlp_encoder *encoder, uint32_t key);

/* Appends the fields of the group's Resource (otlp_resource.c). */
void otlp_write_resource(struct otlp_encoder *encoder, const struct otlp_group *group,
			 struct text *out);

/* Fills `message` with these items (otlp_message.c). Returns 0 or -ENOMEM. */
int otlp_make_message(struct otlp_encoder *encoder, const struct otlp_item *items, size_t count);

/* Which of the items of one group a Profile holds: those with times, or those without. */
struct otlp_profile_range {
	const struct otlp_item *items;
	size_t count;
	size_t column; /* the sample type */
	bool timed;
};

/* Appends the fields of a Profile; nothing when none of the items has a value (otlp_profile.c). Returns 0
 * or -ENOMEM. */
int otlp_write_profile(struct otlp_encoder *encoder, const struct otlp_profile_range *range,
		       struct text *out);
