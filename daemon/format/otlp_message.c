/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ExportProfilesServiceRequest: resources with one scope each. Keys and texts of resources and scopes
 * stand in them, not in the dictionary: receivers do not look there.
 */
#include "format/otlp_encoder.h"

#include "format/wire_writer.h"

#include <errno.h>

#define SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"

/* ---- Resource -------------------------------------------------------------------------------- */

/* A KeyValue with its key and value inside. */
static void put_attribute(struct otlp_encoder *e, const char *key, const char *text, int64_t number,
			  struct text *out)
{
	struct text *pair = &e->sample, *value = &e->scratch;
	value->length = pair->length = 0;
	if (text)
		otlp_put_utf8(value, 1, text);
	else
		wire_put_set_number(value, 3, (uint64_t)number);
	otlp_put_utf8(pair, 1, key);
	wire_put_text(pair, 2, value);
	wire_put_text(out, 1, pair);
}

static void put_label(struct otlp_encoder *e, const struct profile_label *label, struct text *out)
{
	put_attribute(e, profile_text(e->profile, label->key),
		      label->text ? profile_text(e->profile, label->text) : NULL, label->number, out);
}

static const struct profile_label *find_label(const struct otlp_encoder *e,
					      const struct otlp_group *group, const char *key)
{
	const struct profile_label *labels = e->group_attributes.items + group->first_attribute;
	for (uint32_t i = 0; i < group->attribute_count; i++)
		if (!strcmp(profile_text(e->profile, labels[i].key), key))
			return &labels[i];
	return NULL;
}

/* What the conventions say when nothing tells a service's name. */
static void put_service_name(struct otlp_encoder *e, const struct otlp_group *group,
			     struct text *out)
{
	const struct profile_label *program = find_label(e, group, "process.executable.name");
	if (find_label(e, group, "service.name") ||
	    otlp_attributes_have(e->options->attributes, e->options->attribute_count, "service.name"))
		return;
	if (!program || !program->text) {
		put_attribute(e, "service.name", OTLP_UNKNOWN_SERVICE, 0, out);
		return;
	}
	struct text name = {0};
	text_add(&name, "%s:%s", OTLP_UNKNOWN_SERVICE, profile_text(e->profile, program->text));
	if (name.failed)
		out->failed = true;
	else
		put_attribute(e, "service.name", name.bytes, 0, out);
	text_free(&name);
}

void otlp_write_resource(struct otlp_encoder *e, const struct otlp_group *group, struct text *out)
{
	const struct otlp_options *options = e->options;
	const struct profile *profile = e->profile;
	put_service_name(e, group, out);
	for (uint32_t i = 0; i < group->attribute_count; i++)
		put_label(e, &e->group_attributes.items[group->first_attribute + i], out);
	for (size_t i = 0; i < options->attribute_count; i++) {
		const struct otlp_attribute *a = &options->attributes[i];
		if (!find_label(e, group, a->key) && !otlp_attributes_have(options->attributes, i, a->key))
			put_attribute(e, a->key, a->text, a->number, out);
	}
	for (size_t i = 0; i < profile->host_attributes.count; i++) {
		const struct profile_label *a = &profile->host_attributes.items[i];
		const char *key = profile_text(profile, a->key);
		if (!find_label(e, group, key) &&
		    !otlp_attributes_have(options->attributes, options->attribute_count, key) &&
		    !otlp_has_key(profile->host_attributes.items, i, a->key))
			put_label(e, a, out);
	}
}

/* ---- Scope and its Profiles ------------------------------------------------------------------ */

static void put_scope(struct otlp_encoder *e, struct text *out)
{
	e->scratch.length = 0;
	otlp_put_utf8(&e->scratch, 1, OTLP_SCOPE_NAME);
	otlp_put_utf8(&e->scratch, 2, BOLOMETER_VERSION);
	wire_put_text(out, 1, &e->scratch);
}

static int put_profile(struct otlp_encoder *e, const struct otlp_profile_range *range)
{
	e->profile_message.length = 0;
	int r = otlp_write_profile(e, range, &e->profile_message);
	if (r == 0 && e->profile_message.length)
		wire_put_text(&e->scope_message, 2, &e->profile_message);
	return r;
}

static int put_column(struct otlp_encoder *e, const struct otlp_item *items, size_t count,
		      size_t column)
{
	struct otlp_profile_range range = {.items = items, .count = count, .column = column};
	range.timed = true;
	int r = put_profile(e, &range);
	range.timed = false;
	return r < 0 ? r : put_profile(e, &range);
}

/* Fills scope_message with the Profiles of these items, which are of one group. */
static int put_profiles(struct otlp_encoder *e, const struct otlp_item *items, size_t count)
{
	e->scope_message.length = 0;
	if (e->count_column >= 0)
		return put_column(e, items, count,
				  (size_t)(e->options->sample_type == OTLP_CPU_NANOSECONDS
						   ? e->cpu_column
						   : e->count_column));
	/* In pprof the type to look at is the last, here it is the first. */
	size_t first = profile_default_value(e->profile);
	int r = put_column(e, items, count, first);
	for (size_t i = 0; r == 0 && i < e->profile->sample_types.count; i++)
		if (i != first)
			r = put_column(e, items, count, i);
	return r;
}

static int put_resource(struct otlp_encoder *e, const struct otlp_item *items, size_t count)
{
	int r = put_profiles(e, items, count);
	if (r < 0 || e->scope_message.length == 0)
		return r;
	put_scope(e, &e->scope_message);
	wire_put_bytes(&e->scope_message, 3, SCHEMA_URL, strlen(SCHEMA_URL));

	struct text *resource = &e->resource_message;
	resource->length = 0;
	otlp_write_resource(e, &e->groups.items[items[0].group], resource);
	e->profile_message.length = 0;
	wire_put_text(&e->profile_message, 1, resource);
	wire_put_text(&e->profile_message, 2, &e->scope_message);
	wire_put_bytes(&e->profile_message, 3, SCHEMA_URL, strlen(SCHEMA_URL));
	wire_put_text(&e->message, 1, &e->profile_message);
	return e->message.failed ? -ENOMEM : 0;
}

/* Items of one group, as many as a Profile may have samples. */
static size_t run_length(const struct otlp_item *items, size_t count)
{
	size_t length = 0;
	while (length < MIN_OF(count, (size_t)OTLP_MAX_SAMPLES) &&
	       items[length].group == items[0].group)
		length++;
	return length;
}

int otlp_make_message(struct otlp_encoder *e, const struct otlp_item *items, size_t count)
{
	int r = otlp_dictionary_reset(&e->dictionary, e->profile);
	e->message.length = 0;
	e->counts_due = e->statistics->messages == 0;
	while (r == 0 && count) {
		size_t run = run_length(items, count);
		r = put_resource(e, items, run);
		items += run;
		count -= run;
	}
	if (r < 0 || e->message.length == 0)
		return r;
	otlp_dictionary_write(&e->dictionary, 2, &e->message);
	return e->message.failed || e->dictionary.failed ? -ENOMEM : 0;
}
