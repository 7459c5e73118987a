/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_dictionary.h. Field numbers are those of proto/otlp.proto. */
#include "format/otlp_dictionary.h"

#include "binary/facts.h"
#include "binary/file_identity.h"
#include "format/wire_writer.h"

#include <errno.h>

#define OTLP_UNKNOWN UINT32_MAX
#define MAX_MAPPING_ATTRIBUTES 8

static bool is_ascii(const char *text, size_t size)
{
	uint64_t all = 0, word;
	size_t i = 0;
	for (; i + sizeof(word) <= size; i += sizeof(word)) {
		memcpy(&word, text + i, sizeof(word));
		all |= word;
	}
	for (; i < size; i++)
		all |= (uint8_t)text[i];
	return (all & 0x8080808080808080ULL) == 0;
}

static int reset_indices(uint32_t **indices, size_t count)
{
	if (!*indices)
		*indices = malloc((count + 1) * sizeof(**indices));
	if (!*indices)
		return -ENOMEM;
	memset(*indices, 0xff, count * sizeof(**indices));
	return 0;
}

int otlp_dictionary_reset(struct otlp_dictionary *d, const struct profile *profile)
{
	if (d->profile != profile)
		d->is_ascii = is_ascii(profile->strings.bytes, profile->strings.bytes_used);
	d->profile = profile;
	d->failed = false;
	const size_t expected[OTLP_TABLES] = {
		[OTLP_LOCATIONS] = profile->locations.count,
		[OTLP_FUNCTIONS] = profile->functions.count,
		[OTLP_STACKS] = profile->samples.count,
	};
	for (int i = OTLP_MAPPINGS; i < OTLP_TABLES; i++) {
		uint32_t zero;
		strings_free(&d->tables[i]);
		if (strings_expect(&d->tables[i], expected[i]) < 0 ||
		    strings_add(&d->tables[i], "", 0, &zero) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < FRAME_TYPE_MAX; i++)
		d->frame_type_of[i] = OTLP_UNKNOWN;
	if (!d->known_labels)
		d->known_labels = calloc(OTLP_KNOWN_LABELS, sizeof(*d->known_labels));
	else
		memset(d->known_labels, 0, OTLP_KNOWN_LABELS * sizeof(*d->known_labels));
	if (!d->known_labels || profile->strings.count >= OTLP_OWN_STRING)
		return -ENOMEM;
	if (reset_indices(&d->string_of, profile->strings.count) < 0 ||
	    reset_indices(&d->mapping_of, profile->mappings.count) < 0 ||
	    reset_indices(&d->function_of, profile->functions.count) < 0 ||
	    reset_indices(&d->location_of, profile->locations.count) < 0)
		return -ENOMEM;
	strings_free(&d->own_strings);
	d->own_string_of.count = d->strings.count = 0;
	d->string_of[0] = 0; /* "" in the model too */
	return array_add(&d->strings, 0);
}

void otlp_dictionary_free(struct otlp_dictionary *d)
{
	for (int i = OTLP_MAPPINGS; i < OTLP_TABLES; i++)
		strings_free(&d->tables[i]);
	array_free(&d->strings);
	strings_free(&d->own_strings);
	array_free(&d->own_string_of);
	free(d->known_labels);
	free(d->string_of);
	free(d->mapping_of);
	free(d->function_of);
	free(d->location_of);
	text_free(&d->scratch);
	text_free(&d->packed);
	text_free(&d->line);
	text_free(&d->stack);
}

static uint32_t intern(struct otlp_dictionary *d, enum otlp_table table, const void *bytes,
		       size_t size)
{
	uint32_t index = 0;
	if (strings_add(&d->tables[table], size ? bytes : "", size, &index) < 0)
		d->failed = true;
	return index;
}

static uint32_t intern_text(struct otlp_dictionary *d, enum otlp_table table,
			    const struct text *message)
{
	if (message->failed)
		d->failed = true;
	return intern(d, table, message->bytes, message->length);
}

/* ---- Strings --------------------------------------------------------------------------------- */

static uint32_t add_string(struct otlp_dictionary *d, uint32_t string)
{
	if (array_add(&d->strings, string) < 0)
		d->failed = true;
	return (uint32_t)d->strings.count - 1;
}

static uint32_t model_string(struct otlp_dictionary *d, uint32_t string)
{
	uint32_t *index = &d->string_of[string];
	if (*index == OTLP_UNKNOWN)
		*index = add_string(d, string);
	return *index;
}

/* A text that is valid. */
static uint32_t valid_text(struct otlp_dictionary *d, const char *text, size_t size)
{
	uint32_t known;
	if (strings_find(&d->profile->strings, text, size, &known))
		return model_string(d, known);
	if (strings_add(&d->own_strings, text, size, &known) < 0) {
		d->failed = true;
		return 0;
	}
	if (known < d->own_string_of.count)
		return d->own_string_of.items[known];
	uint32_t index = add_string(d, OTLP_OWN_STRING | known);
	if (array_add(&d->own_string_of, index) < 0)
		d->failed = true;
	return index;
}

uint32_t otlp_text(struct otlp_dictionary *d, const char *text, size_t size)
{
	if (is_ascii(text, size))
		return valid_text(d, text, size);
	struct text valid = {0};
	text_add_utf8(&valid, text, size);
	d->failed |= valid.failed;
	uint32_t index = valid.failed ? 0 : valid_text(d, valid.bytes, valid.length);
	text_free(&valid);
	return index;
}

uint32_t otlp_string(struct otlp_dictionary *d, uint32_t string)
{
	uint32_t index = d->string_of[string];
	if (index != OTLP_UNKNOWN)
		return index;
	const char *text = profile_text(d->profile, string);
	size_t size = strings_length(&d->profile->strings, string);
	if (d->is_ascii || is_ascii(text, size))
		return model_string(d, string);
	/* Where it is valid this is the model's own, else the text that it becomes. */
	index = otlp_text(d, text, size);
	d->string_of[string] = index;
	return index;
}

void otlp_put_utf8(struct text *out, uint32_t number, const char *text)
{
	size_t size = strlen(text);
	if (is_ascii(text, size)) {
		wire_put_bytes(out, number, text, size);
		return;
	}
	struct text valid = {0};
	text_add_utf8(&valid, text, size);
	wire_put_text(out, number, &valid);
	text_free(&valid);
}

/* ---- Attributes ------------------------------------------------------------------------------ */

uint32_t otlp_attribute(struct otlp_dictionary *d, uint32_t key, const struct text *value,
			uint32_t unit)
{
	d->packed.length = 0;
	wire_put_number(&d->packed, 1, key);
	wire_put_text(&d->packed, 2, value);
	wire_put_number(&d->packed, 3, unit);
	return intern_text(d, OTLP_ATTRIBUTES, &d->packed);
}

static uint32_t make_label(struct otlp_dictionary *d, const struct profile_label *label)
{
	uint32_t key = otlp_string(d, label->key), unit = 0;
	d->scratch.length = 0;
	if (label->text) {
		otlp_put_utf8(&d->scratch, 1, profile_text(d->profile, label->text));
	} else {
		wire_put_set_number(&d->scratch, 3, (uint64_t)label->number);
		unit = otlp_string(d, label->unit);
	}
	return otlp_attribute(d, key, &d->scratch, unit);
}

static bool are_equal(const struct profile_label *a, const struct profile_label *b)
{
	return a->key == b->key && a->text == b->text && a->number == b->number &&
	       a->unit == b->unit;
}

uint32_t otlp_label(struct otlp_dictionary *d, const struct profile_label *label)
{
	uint64_t hash = hash_mix(((uint64_t)label->key << 32 | label->text) ^
				 (uint64_t)label->number * 0x9e3779b97f4a7c15ULL);
	struct otlp_known_label *known = &d->known_labels[hash % OTLP_KNOWN_LABELS];
	if (!known->attribute || !are_equal(&known->label, label))
		*known = (struct otlp_known_label){*label, make_label(d, label)};
	return known->attribute;
}

uint32_t otlp_text_attribute(struct otlp_dictionary *d, const char *key, const char *text)
{
	d->scratch.length = 0;
	otlp_put_utf8(&d->scratch, 1, text);
	return otlp_attribute(d, otlp_text(d, key, strlen(key)), &d->scratch, 0);
}

uint32_t otlp_number_attribute(struct otlp_dictionary *d, const char *key, int64_t number)
{
	d->scratch.length = 0;
	wire_put_set_number(&d->scratch, 3, (uint64_t)number);
	return otlp_attribute(d, otlp_text(d, key, strlen(key)), &d->scratch, 0);
}

uint32_t otlp_true_attribute(struct otlp_dictionary *d, const char *key)
{
	d->scratch.length = 0;
	wire_put_set_number(&d->scratch, 2, 1);
	return otlp_attribute(d, otlp_text(d, key, strlen(key)), &d->scratch, 0);
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
	struct text *out = &d->scratch;
	out->length = 0;
	if (mapping->start < mapping->limit) {
		wire_put_number(out, 1, mapping->start);
		wire_put_number(out, 2, mapping->limit);
	}
	wire_put_number(out, 3, mapping->offset);
	wire_put_number(out, 4, file);
	wire_put_packed(out, 5, indices, count, &d->packed);
	return intern_text(d, OTLP_MAPPINGS, out);
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
	uint8_t bytes[4 * WIRE_NUMBER_MAX], *at = bytes;
	at = wire_number_at(at, 1, otlp_string(d, f->name));
	at = wire_number_at(at, 2, otlp_string(d, f->system_name));
	at = wire_number_at(at, 3, otlp_string(d, f->file));
	at = wire_number_at(at, 4, f->start_line);
	*index = intern(d, OTLP_FUNCTIONS, bytes, (size_t)(at - bytes));
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

/* A field below 16 that cannot have 128 bytes: what precedes it is two bytes, so it is written in place. */
#define SHORT_HEAD 2

static uint8_t *short_field_at(uint8_t *at, uint32_t field, uint8_t *end)
{
	at[0] = (uint8_t)(field << 3 | WIRE_BYTES);
	at[1] = (uint8_t)(end - at - SHORT_HEAD);
	return end;
}

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
	struct text *out = &d->line;
	out->length = 0;
	uint8_t *room = (uint8_t *)text_room(out, (size_t)location->line_count * LINE_MAX_SIZE +
							  6 * WIRE_NUMBER_MAX);
	if (!room) {
		d->failed = true;
		return 0;
	}
	uint8_t *at = wire_number_at(room, 1, mapping);
	at = wire_number_at(at, 2, location->address);
	for (uint32_t i = 0; i < location->line_count; i++)
		at = line_at(d, &d->profile->lines.items[location->first_line + i], at);
	uint8_t *end = at + SHORT_HEAD;
	for (size_t i = 0; i < count; i++)
		end = wire_varint_at(end, attributes[i]);
	at = short_field_at(at, 4, end);
	return intern(d, OTLP_LOCATIONS, room, (size_t)(at - room));
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
	/* The field's size comes first and is known last: it is put right before the numbers. */
	d->stack.length = 0;
	size_t size = WIRE_NUMBER_MAX + (size_t)count * WIRE_VARINT_MAX;
	uint8_t *room = (uint8_t *)text_room(&d->stack, size);
	if (!room) {
		d->failed = true;
		return 0;
	}
	uint8_t *numbers = room + WIRE_NUMBER_MAX, *end = numbers, head[WIRE_NUMBER_MAX];
	for (uint32_t i = 0; i < count; i++)
		end = wire_varint_at(end, location_index(d, locations[i]));
	size_t head_size = (size_t)(wire_size_at(head, 1, (size_t)(end - numbers)) - head);
	memcpy(numbers - head_size, head, head_size);
	return intern(d, OTLP_STACKS, numbers - head_size, (size_t)(end - numbers) + head_size);
}

uint32_t otlp_link(struct otlp_dictionary *d, const struct profile_link *link)
{
	static const struct profile_link none;
	if (!memcmp(link->trace_id, none.trace_id, sizeof(none.trace_id)) ||
	    !memcmp(link->span_id, none.span_id, sizeof(none.span_id)))
		return 0;
	d->scratch.length = 0;
	wire_put_bytes(&d->scratch, 1, link->trace_id, sizeof(link->trace_id));
	wire_put_bytes(&d->scratch, 2, link->span_id, sizeof(link->span_id));
	return intern_text(d, OTLP_LINKS, &d->scratch);
}

/* ---- The message ----------------------------------------------------------------------------- */

static const char *string_at(const struct otlp_dictionary *d, uint32_t string, size_t *ret_size)
{
	uint32_t own = string & ~OTLP_OWN_STRING;
	const struct strings *from = string == own ? &d->profile->strings : &d->own_strings;
	*ret_size = strings_length(from, own);
	return strings_get(from, own);
}

static size_t strings_size(const struct otlp_dictionary *d)
{
	size_t total = 0, size;
	for (size_t i = 0; i < d->strings.count; i++) {
		string_at(d, d->strings.items[i], &size);
		total += wire_size_of_size(OTLP_STRINGS, size) + size;
	}
	return total;
}

static uint8_t *strings_at(const struct otlp_dictionary *d, uint8_t *at)
{
	for (size_t i = 0; i < d->strings.count; i++) {
		size_t size;
		const char *bytes = string_at(d, d->strings.items[i], &size);
		at = wire_size_at(at, OTLP_STRINGS, size);
		memcpy(at, bytes, size);
		at += size;
	}
	return at;
}

static size_t table_size(const struct strings *table, uint32_t field)
{
	size_t total = table->bytes_used - table->count; /* without the NULs */
	for (uint32_t i = 0; i < table->count; i++)
		total += wire_size_of_size(field, strings_length(table, i));
	return total;
}

static uint8_t *table_at(const struct strings *table, uint32_t field, uint8_t *at)
{
	for (uint32_t i = 0; i < table->count; i++) {
		size_t size = strings_length(table, i);
		at = wire_size_at(at, field, size);
		memcpy(at, strings_get(table, i), size);
		at += size;
	}
	return at;
}

void otlp_dictionary_write(const struct otlp_dictionary *d, uint32_t number, struct text *out)
{
	size_t total = 0;
	for (uint32_t i = OTLP_MAPPINGS; i < OTLP_TABLES; i++)
		total += i == OTLP_STRINGS ? strings_size(d) : table_size(&d->tables[i], i);
	uint8_t *room = (uint8_t *)text_room(out, WIRE_NUMBER_MAX + total);
	if (!room)
		return;
	uint8_t *at = wire_size_at(room, number, total);
	for (uint32_t i = OTLP_MAPPINGS; i < OTLP_TABLES; i++)
		at = i == OTLP_STRINGS ? strings_at(d, at) : table_at(&d->tables[i], i, at);
	out->length += (size_t)(at - room);
}
