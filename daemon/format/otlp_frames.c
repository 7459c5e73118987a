/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings, functions, locations, stacks and links of the dictionary: each is made when something refers to it.
 * Field numbers are those of proto/otlp.proto. */
#include "format/otlp_dictionary.h"

#include "binary/facts.h"
#include "binary/file_identity.h"
#include "format/wire_writer.h"

#define MAX_MAPPING_ATTRIBUTES 8

/* A field below 16 that cannot have 128 bytes: what precedes it is two bytes, so it is written in place. */
#define SHORT_HEAD 2

static uint8_t *short_field_at(uint8_t *at, uint32_t field, uint8_t *end)
{
	at[0] = (uint8_t)(field << 3 | WIRE_BYTES);
	at[1] = (uint8_t)(end - at - SHORT_HEAD);
	return end;
}

/* At most MAX_MAPPING_ATTRIBUTES numbers, and one at least. */
static uint8_t *short_list_at(uint8_t *at, uint32_t field, const uint32_t *numbers, size_t count)
{
	uint8_t *end = at + SHORT_HEAD;
	for (size_t i = 0; i < count; i++)
		end = wire_varint_at(end, numbers[i]);
	return short_field_at(at, field, end);
}

/* ---- Mappings -------------------------------------------------------------------------------- */

/* A mapping must have an identity, and some backends know only this one. What is no file that was
 * read gets one from its build id, or else its name. */
static uint32_t htlhash_attribute(struct otlp_dictionary *d, const struct profile_mapping *mapping)
{
	struct binary_facts facts = {0};
	char text[2 * FACTS_HTLHASH_SIZE + 1];
	if (mapping->htlhash)
		return otlp_text_attribute(d, "process.executable.build_id.htlhash",
					   profile_text(d->profile, mapping->htlhash));
	uint32_t identity = mapping->build_id ? mapping->build_id : mapping->file;
	bytes_htlhash(profile_text(d->profile, identity),
		      strings_length(&d->profile->strings, identity), facts.htlhash);
	return otlp_text_attribute(d, "process.executable.build_id.htlhash",
				   facts_htlhash_text(&facts, text));
}

static size_t mapping_attributes(struct otlp_dictionary *d, const struct profile_mapping *mapping,
				 uint32_t indices[MAX_MAPPING_ATTRIBUTES])
{
	const struct {
		bool has;
		const char *key;
	} known[] = {
		{mapping->has_functions, "pprof.mapping.has_functions"},
		{mapping->has_filenames, "pprof.mapping.has_filenames"},
		{mapping->has_line_numbers, "pprof.mapping.has_line_numbers"},
		{mapping->has_inline_frames, "pprof.mapping.has_inline_frames"},
	};
	size_t count = 0;
	indices[count++] = htlhash_attribute(d, mapping);
	if (mapping->build_id)
		indices[count++] = otlp_text_attribute(d, "process.executable.build_id.gnu",
						       profile_text(d->profile, mapping->build_id));
	if (mapping->go_build_id)
		indices[count++] =
			otlp_text_attribute(d, "process.executable.build_id.go",
					    profile_text(d->profile, mapping->go_build_id));
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
		if (known[i].has)
			indices[count++] = otlp_true_attribute(d, known[i].key);
	return count;
}

static uint32_t add_mapping(struct otlp_dictionary *d, const struct profile_mapping *mapping)
{
	uint32_t indices[MAX_MAPPING_ATTRIBUTES];
	size_t count = mapping_attributes(d, mapping, indices);
	uint32_t file = otlp_string(d, mapping->file);
	uint8_t *at = otlp_entry(d, OTLP_MAPPINGS, (5 + MAX_MAPPING_ATTRIBUTES) * WIRE_NUMBER_MAX);
	if (!at)
		return 0;
	if (mapping->start < mapping->limit) {
		at = wire_number_at(at, 1, mapping->start);
		at = wire_number_at(at, 2, mapping->limit);
	}
	at = wire_number_at(at, 3, mapping->offset);
	at = wire_number_at(at, 4, file);
	at = short_list_at(at, 5, indices, count);
	return otlp_add_entry(d, OTLP_MAPPINGS, at);
}

static uint32_t mapping_index(struct otlp_dictionary *d, uint32_t mapping)
{
	if (mapping == PROFILE_NONE)
		return 0;
	uint32_t *index = &d->mapping_of[mapping];
	if (*index == OTLP_UNKNOWN)
		*index = add_mapping(d, &d->profile->mappings.items[mapping]);
	return *index;
}

/* ---- Functions and locations ----------------------------------------------------------------- */

static uint32_t function_index(struct otlp_dictionary *d, uint32_t function)
{
	if (function == PROFILE_NONE)
		return 0;
	uint32_t *index = &d->function_of[function];
	if (*index != OTLP_UNKNOWN)
		return *index;
	const struct profile_function *f = &d->profile->functions.items[function];
	uint8_t *at = otlp_entry(d, OTLP_FUNCTIONS, 4 * WIRE_NUMBER_MAX);
	if (!at)
		return 0;
	at = wire_number_at(at, 1, otlp_string(d, f->name));
	at = wire_number_at(at, 2, otlp_string(d, f->system_name));
	at = wire_number_at(at, 3, otlp_string(d, f->file));
	at = wire_number_at(at, 4, f->start_line);
	*index = otlp_add_entry(d, OTLP_FUNCTIONS, at);
	return *index;
}

/* The values of profile.frame.type; where no runtime is known, words of our own, as the conventions
 * allow. "abort-marker" is what OpenTelemetry's profiler calls a frame that is no code. */
static const char *frame_type_name(enum frame_type type)
{
	static const char *const names[FRAME_TYPE_MAX] = {
		[FRAME_TYPE_NATIVE] = "native", [FRAME_TYPE_KERNEL] = "kernel",
		[FRAME_TYPE_JIT] = "jit",	[FRAME_TYPE_INTERPRETER] = "interpreter",
		[FRAME_TYPE_GO] = "go",		[FRAME_TYPE_MARK] = "abort-marker",
	};
	return names[type];
}

static uint32_t frame_type_attribute(struct otlp_dictionary *d, enum frame_type type)
{
	if (d->frame_type_of[type] == OTLP_UNKNOWN)
		d->frame_type_of[type] =
			otlp_text_attribute(d, "profile.frame.type", frame_type_name(type));
	return d->frame_type_of[type];
}

#define LINE_MAX_SIZE (4 * WIRE_NUMBER_MAX)

static uint8_t *line_at(struct otlp_dictionary *d, const struct profile_line *line, uint8_t *at)
{
	uint8_t *end = at + SHORT_HEAD;
	end = wire_number_at(end, 1, function_index(d, line->function));
	end = wire_number_at(end, 2, line->line);
	end = wire_number_at(end, 3, line->column);
	return short_field_at(at, 3, end);
}

/* Not inline: it would push the few numbers of the loop over a stack out of registers. */
__attribute__((noinline)) static uint32_t add_location(struct otlp_dictionary *d,
						       const struct profile_location *location)
{
	uint32_t attributes[2] = {frame_type_attribute(d, location->type)};
	size_t count = 1;
	uint32_t mapping = mapping_index(d, location->mapping);
	if (location->is_folded)
		attributes[count++] = otlp_true_attribute(d, "pprof.location.is_folded");
	uint8_t *at = otlp_entry(d, OTLP_LOCATIONS,
				 (size_t)location->line_count * LINE_MAX_SIZE + 6 * WIRE_NUMBER_MAX);
	if (!at)
		return 0;
	at = wire_number_at(at, 1, mapping);
	at = wire_number_at(at, 2, location->address);
	for (uint32_t i = 0; i < location->line_count; i++)
		at = line_at(d, &d->profile->lines.items[location->first_line + i], at);
	at = short_list_at(at, 4, attributes, count);
	return otlp_add_entry(d, OTLP_LOCATIONS, at);
}

static uint32_t location_index(struct otlp_dictionary *d, uint32_t location)
{
	uint32_t *index = &d->location_of[location];
	if (*index == OTLP_UNKNOWN)
		*index = add_location(d, &d->profile->locations.items[location]);
	return *index;
}

/* ---- Stacks and links ------------------------------------------------------------------------ */

uint32_t otlp_stack(struct otlp_dictionary *d, const struct profile_sample *sample)
{
	const uint32_t *locations = &d->profile->stack_locations.items[sample->first_location];
	uint32_t count = sample->location_count;
	if (count == 0)
		return 0;
	uint8_t *room = otlp_entry(d, OTLP_STACKS, WIRE_NUMBER_MAX + (size_t)count * WIRE_VARINT_MAX);
	if (!room)
		return 0;
	uint8_t *end = room + WIRE_HEAD;
	for (uint32_t i = 0; i < count; i++)
		end = wire_varint_at(end, location_index(d, locations[i]));
	return otlp_add_entry(d, OTLP_STACKS, wire_end_at(room, 1, end));
}

uint32_t otlp_link(struct otlp_dictionary *d, const struct profile_link *link)
{
	static const struct profile_link none;
	if (!memcmp(link->trace_id, none.trace_id, sizeof(none.trace_id)) ||
	    !memcmp(link->span_id, none.span_id, sizeof(none.span_id)))
		return 0;
	uint8_t *at = otlp_entry(d, OTLP_LINKS, 2 * WIRE_NUMBER_MAX + sizeof(*link));
	if (!at)
		return 0;
	at = wire_bytes_at(at, 1, link->trace_id, sizeof(link->trace_id));
	at = wire_bytes_at(at, 2, link->span_id, sizeof(link->span_id));
	return otlp_add_entry(d, OTLP_LINKS, at);
}
