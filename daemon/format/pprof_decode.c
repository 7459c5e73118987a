/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads pprof files of any producer. The order of fields in a file is free, so the message is walked
 * four times: strings; header, mappings and functions; locations; samples. Each walk skips what is
 * not its own at the cost of one length. Nothing is allocated for a count that a file merely claims:
 * every item in the model was paid for with at least two bytes of the file.
 */
#include "format/pprof.h"

#include "format/gzip.h"
#include "format/id_map.h"
#include "format/pprof_frame_type.h"
#include "format/wire_reader.h"

#include <stdio.h>

/* Inlined lines included. A frame of a stack takes a byte or more, and few have 16 lines. */
#define FRAMES_PER_BYTE 16
#define FRAMES_ALWAYS ((uint64_t)1 << 20)

struct pprof_decoder {
	struct profile *profile;
	struct wire_reader message;
	struct pprof_failure *failure;
	ARRAY(uint32_t) strings; /* index in the file -> index in the model */
	struct id_map mappings, functions, locations;
};

static int _printf_(3, 4) refuse(struct pprof_decoder *decoder, const uint8_t *where,
				 const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(decoder->failure->text, sizeof(decoder->failure->text), format, arguments);
	va_end(arguments);
	decoder->failure->offset = where ? (size_t)(where - decoder->message.next) : 0;
	return -EBADMSG;
}

static int refuse_field(struct pprof_decoder *decoder, const struct wire_reader *reader,
			const char *what)
{
	return refuse(decoder, reader->next, "%s is cut short or not a protobuf message", what);
}

static int refuse_type(struct pprof_decoder *decoder, const struct wire_reader *reader,
		       const struct wire_field *field, const char *what)
{
	return refuse(decoder, reader->next, "field %u of %s has wire type %d", field->number, what,
		      (int)field->type);
}

/* The model's string of a file's string index. */
static int string_of(struct pprof_decoder *decoder, uint64_t index, const uint8_t *where,
		     uint32_t *ret)
{
	if (index == 0) {
		*ret = 0;
		return 0;
	}
	if (index >= decoder->strings.count)
		return refuse(decoder, where, "string %lld where the table has %zu",
			      (long long)index, decoder->strings.count);
	*ret = decoder->strings.items[index];
	return 0;
}

#define NUMBERS_MAX 11

/* Reads a message whose known fields are all numbers below `count` into numbers[field]. */
static int read_numbers(struct pprof_decoder *decoder, struct wire_reader reader, const char *what,
			uint64_t numbers[NUMBERS_MAX], uint32_t count)
{
	struct wire_field field;
	int r;
	memset(numbers, 0, NUMBERS_MAX * sizeof(*numbers));
	while ((r = wire_next(&reader, &field)) > 0) {
		if (field.number >= count)
			continue;
		if (field.type != WIRE_VARINT)
			return refuse_type(decoder, &reader, &field, what);
		numbers[field.number] = field.value;
	}
	return r < 0 ? refuse_field(decoder, &reader, what) : 0;
}

static uint32_t clamp_line(uint64_t number)
{
	int64_t line = (int64_t)number;
	return line < 0 ? 0 : (uint32_t)MIN_OF(line, (int64_t)UINT32_MAX);
}

static int add_id(struct pprof_decoder *decoder, struct id_map *map, uint64_t id, size_t index,
		  const uint8_t *where, const char *what)
{
	if (id == 0)
		return refuse(decoder, where, "a %s has id 0", what);
	int r = index < PROFILE_NONE ? id_map_add(map, id, (uint32_t)index) : -ENOMEM;
	return r == -EEXIST ? refuse(decoder, where, "two %ss have id %llu", what,
				     (unsigned long long)id)
			    : r;
}

static int read_value_type(struct pprof_decoder *decoder, struct wire_reader reader,
			   struct profile_value_type *ret)
{
	uint64_t numbers[NUMBERS_MAX];
	int r = read_numbers(decoder, reader, "a value type", numbers, 3);
	if (r == 0)
		r = string_of(decoder, numbers[1], reader.next, &ret->type);
	return r < 0 ? r : string_of(decoder, numbers[2], reader.next, &ret->unit);
}

static int read_sample_type(struct pprof_decoder *decoder, struct wire_reader reader)
{
	struct profile_value_type type = {0};
	int r = read_value_type(decoder, reader, &type);
	return r < 0 ? r : array_add(&decoder->profile->sample_types, type);
}

static int read_mapping(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint64_t numbers[NUMBERS_MAX];
	int r = read_numbers(decoder, reader, "a mapping", numbers, 11);
	if (r == 0)
		r = add_id(decoder, &decoder->mappings, numbers[1],
			   decoder->profile->mappings.count, reader.next, "mapping");
	struct profile_mapping mapping = {
		.start = numbers[2],
		.limit = numbers[3],
		.offset = numbers[4],
		.has_functions = numbers[7],
		.has_filenames = numbers[8],
		.has_line_numbers = numbers[9],
		.has_inline_frames = numbers[10],
	};
	if (r == 0)
		r = string_of(decoder, numbers[5], reader.next, &mapping.file);
	if (r == 0)
		r = string_of(decoder, numbers[6], reader.next, &mapping.build_id);
	return r < 0 ? r : array_add(&decoder->profile->mappings, mapping);
}

static int read_function(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint64_t numbers[NUMBERS_MAX];
	int r = read_numbers(decoder, reader, "a function", numbers, 6);
	if (r == 0)
		r = add_id(decoder, &decoder->functions, numbers[1],
			   decoder->profile->functions.count, reader.next, "function");
	struct profile_function function = {.start_line = clamp_line(numbers[5])};
	if (r == 0)
		r = string_of(decoder, numbers[2], reader.next, &function.name);
	if (r == 0)
		r = string_of(decoder, numbers[3], reader.next, &function.system_name);
	if (r == 0)
		r = string_of(decoder, numbers[4], reader.next, &function.file);
	return r < 0 ? r : array_add(&decoder->profile->functions, function);
}

static int read_line(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint64_t numbers[NUMBERS_MAX];
	int r = read_numbers(decoder, reader, "a line", numbers, 4);
	if (r < 0)
		return r;
	return array_add(&decoder->profile->lines,
			 (struct profile_line){
				 .function = id_map_get(&decoder->functions, numbers[1]),
				 .line = clamp_line(numbers[2]),
				 .column = clamp_line(numbers[3]),
			 });
}

static int read_location(struct pprof_decoder *decoder, struct wire_reader reader)
{
	const uint8_t *start = reader.next;
	struct profile *profile = decoder->profile;
	uint64_t numbers[6] = {0};
	uint32_t first_line = (uint32_t)profile->lines.count;
	struct wire_field field;
	int r;
	while ((r = wire_next(&reader, &field)) > 0) {
		if (field.number > 5)
			continue;
		if (field.type != (field.number == 4 ? WIRE_BYTES : WIRE_VARINT))
			return refuse_type(decoder, &reader, &field, "a location");
		if (field.number != 4)
			numbers[field.number] = field.value;
		else if ((r = read_line(decoder, field.bytes)) < 0)
			return r;
	}
	if (r < 0)
		return refuse_field(decoder, &reader, "a location");
	r = add_id(decoder, &decoder->locations, numbers[1], profile->locations.count, start,
		   "location");
	if (r < 0)
		return r;
	return array_add(&profile->locations,
			 (struct profile_location){
				 .mapping = id_map_get(&decoder->mappings, numbers[2]),
				 .first_line = first_line,
				 .line_count = (uint32_t)profile->lines.count - first_line,
				 .address = numbers[3],
				 .is_folded = numbers[5],
			 });
}

static int add_sample_location(struct pprof_decoder *decoder, uint64_t id, const uint8_t *where)
{
	uint32_t location = id_map_get(&decoder->locations, id);
	if (location == ID_MAP_NONE)
		return refuse(decoder, where, "a sample names location %llu, which is not there",
			      (unsigned long long)id);
	return array_add(&decoder->profile->stack_locations, location);
}

static int add_sample_value(struct pprof_decoder *decoder, uint64_t value, const uint8_t *where)
{
	return array_add(&decoder->profile->values, (int64_t)value);
}

/* A repeated number, packed or one at a time. */
static int read_repeated(struct pprof_decoder *decoder, struct wire_reader *reader,
			 struct wire_field *field, const char *what,
			 int (*add)(struct pprof_decoder *, uint64_t, const uint8_t *))
{
	if (field->type == WIRE_VARINT)
		return add(decoder, field->value, reader->next);
	if (field->type != WIRE_BYTES)
		return refuse_type(decoder, reader, field, what);
	while (field->bytes.next < field->bytes.end) {
		uint64_t value;
		if (wire_varint(&field->bytes, &value) < 0)
			return refuse_field(decoder, &field->bytes, what);
		int r = add(decoder, value, field->bytes.next);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_label(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint64_t numbers[NUMBERS_MAX];
	struct profile_label label = {0};
	int r = read_numbers(decoder, reader, "a label", numbers, 5);
	if (r == 0)
		r = string_of(decoder, numbers[1], reader.next, &label.key);
	if (r == 0)
		r = string_of(decoder, numbers[2], reader.next, &label.text);
	if (r == 0)
		r = string_of(decoder, numbers[4], reader.next, &label.unit);
	label.number = (int64_t)numbers[3];
	return r < 0 ? r : array_add(&decoder->profile->labels, label);
}

static int read_sample(struct pprof_decoder *decoder, struct wire_reader reader)
{
	struct profile *profile = decoder->profile;
	const uint8_t *start = reader.next;
	size_t locations = profile->stack_locations.count, labels = profile->labels.count;
	size_t values = profile->values.count;
	struct wire_field field;
	int r;
	while ((r = wire_next(&reader, &field)) > 0) {
		int read = 0;
		if (field.number == 1)
			read = read_repeated(decoder, &reader, &field, "a sample",
					     add_sample_location);
		else if (field.number == 2)
			read = read_repeated(decoder, &reader, &field, "a sample",
					     add_sample_value);
		else if (field.number == 3)
			read = field.type == WIRE_BYTES
				       ? read_label(decoder, field.bytes)
				       : refuse_type(decoder, &reader, &field, "a sample");
		if (read < 0)
			return read;
	}
	if (r < 0)
		return refuse_field(decoder, &reader, "a sample");
	values = profile->values.count - values;
	if (values != profile->sample_types.count)
		return refuse(decoder, start,
			      "a sample has %zu values where the file has %zu sample types", values,
			      profile->sample_types.count);
	if (values == 0)
		return refuse(decoder, start, "samples, but no sample types");
	return array_add(&profile->samples,
			 (struct profile_sample){
				 .first_location = (uint32_t)locations,
				 .location_count =
					 (uint32_t)(profile->stack_locations.count - locations),
				 .first_label = (uint32_t)labels,
				 .label_count = (uint32_t)(profile->labels.count - labels),
			 });
}

static int read_string(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint32_t index;
	size_t length = (size_t)(reader.end - reader.next);
	if (decoder->strings.count == 0 && length)
		return refuse(decoder, reader.next, "the first string is not empty");
	if (strings_add(&decoder->profile->strings, (const char *)reader.next, length, &index) < 0)
		return -ENOMEM;
	return array_add(&decoder->strings, index);
}

static int add_comment(struct pprof_decoder *decoder, uint64_t value, const uint8_t *where)
{
	uint32_t string = 0;
	int r = string_of(decoder, value, where, &string);
	return r < 0 ? r : array_add(&decoder->profile->comments, string);
}

/* The fields of the message that are numbers. */
static int read_scalar(struct pprof_decoder *decoder, const struct wire_reader *reader,
		       const struct wire_field *field)
{
	struct profile *profile = decoder->profile;
	switch (field->number) {
	case 7:
		return string_of(decoder, field->value, reader->next, &profile->drop_frames);
	case 8:
		return string_of(decoder, field->value, reader->next, &profile->keep_frames);
	case 9:
		profile->time_ns = (int64_t)field->value;
		return 0;
	case 10:
		profile->duration_ns = (int64_t)field->value;
		return 0;
	case 12:
		profile->period = (int64_t)field->value;
		return 0;
	case 14:
		return string_of(decoder, field->value, reader->next,
				 &profile->default_sample_type);
	case 15:
		return string_of(decoder, field->value, reader->next, &profile->doc_url);
	}
	return 0;
}

/* Field numbers whose content is a message or a string. */
static bool field_is_bytes(uint32_t number)
{
	return number <= 6 || number == 11;
}

static int walk_strings(struct pprof_decoder *decoder, struct wire_reader *reader,
			struct wire_field *field)
{
	if (field->number <= 15 && field->number != 13 &&
	    field->type != (field_is_bytes(field->number) ? WIRE_BYTES : WIRE_VARINT))
		return refuse_type(decoder, reader, field, "the profile");
	return field->number == 6 ? read_string(decoder, field->bytes) : 0;
}

static int walk_tables(struct pprof_decoder *decoder, struct wire_reader *reader,
		       struct wire_field *field)
{
	switch (field->number) {
	case 1:
		return read_sample_type(decoder, field->bytes);
	case 3:
		return read_mapping(decoder, field->bytes);
	case 5:
		return read_function(decoder, field->bytes);
	case 11:
		return read_value_type(decoder, field->bytes, &decoder->profile->period_type);
	case 13:
		return read_repeated(decoder, reader, field, "the comments", add_comment);
	default:
		return read_scalar(decoder, reader, field);
	}
}

static int walk_locations(struct pprof_decoder *decoder, struct wire_reader *reader,
			  struct wire_field *field)
{
	return field->number == 4 ? read_location(decoder, field->bytes) : 0;
}

static int walk_samples(struct pprof_decoder *decoder, struct wire_reader *reader,
			struct wire_field *field)
{
	return field->number == 2 ? read_sample(decoder, field->bytes) : 0;
}

typedef int (*walk_function)(struct pprof_decoder *, struct wire_reader *, struct wire_field *);

static int walk(struct pprof_decoder *decoder, walk_function each)
{
	struct wire_reader reader = decoder->message;
	struct wire_field field;
	int r;
	while ((r = wire_next(&reader, &field)) > 0) {
		int done = each(decoder, &reader, &field);
		if (done < 0)
			return done;
	}
	return r < 0 ? refuse_field(decoder, &reader, "the profile") : 0;
}

/*
 * A location may have any number of lines and a stack name it any number of times, so that a small
 * file could stand for more frames than any reader of the profile has time and memory for.
 */
static int check_frames(struct pprof_decoder *decoder)
{
	const struct profile *profile = decoder->profile;
	uint64_t bytes = (uint64_t)(decoder->message.end - decoder->message.next), frames = 0;
	for (size_t i = 0; i < profile->stack_locations.count; i++)
		frames += profile->locations.items[profile->stack_locations.items[i]].line_count;
	if (frames <= FRAMES_ALWAYS || frames / FRAMES_PER_BYTE <= bytes)
		return 0;
	return refuse(decoder, NULL, "%llu frames in a message of %llu bytes",
		      (unsigned long long)frames, (unsigned long long)bytes);
}

static int decode_message(struct pprof_decoder *decoder)
{
	static const walk_function walks[] = {walk_strings, walk_tables, walk_locations,
					      walk_samples};
	if (decoder->message.next == decoder->message.end)
		return refuse(decoder, NULL, "the file is empty");
	for (size_t i = 0; i < ARRAY_LENGTH(walks); i++) {
		int r = walk(decoder, walks[i]);
		if (r < 0)
			return r;
	}
	int r = pprof_guess_frame_types(decoder->profile);
	if (r < 0)
		return r;
	if (profile_check(decoder->profile) < 0)
		return refuse(decoder, NULL, "the profile contradicts itself");
	return check_frames(decoder);
}

static void decoder_release(struct pprof_decoder *decoder)
{
	array_free(&decoder->strings);
	id_map_free(&decoder->mappings);
	id_map_free(&decoder->functions);
	id_map_free(&decoder->locations);
	profile_free(decoder->profile);
}

static int expand(const void *bytes, size_t size, size_t limit, struct pprof_failure *failure,
		  char **ret_bytes, size_t *ret_size)
{
	int r = gzip_expand(bytes, size, limit, ret_bytes, ret_size, &failure->offset);
	if (r == -EBADMSG)
		snprintf(failure->text, sizeof(failure->text),
			 "the gzip data is damaged or cut short");
	return r;
}

int pprof_decode(const void *bytes, size_t size, size_t size_limit, struct pprof_failure *failure,
		 struct profile **ret)
{
	size_t limit = size_limit ? size_limit : PPROF_SIZE_LIMIT;
	_cleanup_free_ char *expanded = NULL;
	*failure = (struct pprof_failure){0};
	int r = size > limit ? -EFBIG : 0;
	if (r == 0 && gzip_is(bytes, size)) {
		r = expand(bytes, size, limit, failure, &expanded, &size);
		bytes = expanded;
		r = r == 0 && size > limit ? -EFBIG : r;
	}
	if (r == -EFBIG)
		snprintf(failure->text, sizeof(failure->text), "larger than %zu MiB when expanded",
			 limit >> 20);
	if (r < 0)
		return r;

	_cleanup_(decoder_release) struct pprof_decoder decoder = {
		.message = {.next = bytes, .end = (const uint8_t *)bytes + size},
		.failure = failure,
	};
	r = profile_new(&decoder.profile);
	if (r == 0)
		r = decode_message(&decoder);
	if (r == 0)
		*ret = take_pointer(decoder.profile);
	return r;
}
