/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes pprof without ever holding the whole message tree: the file is the concatenation of many small Profile
 * messages with one sample, location or string each. By the rules of protobuf (repeated fields of concatenated
 * messages are appended) that is, byte for byte, the encoding of the one Profile that holds them all. Memory is
 * one piece and the packed bytes. Samples, locations and strings, which are nearly all of a file, are written
 * field by field; protobuf-c packs the rest.
 *
 * The model has strings that pprof has no place for: those in use here are numbered in their order.
 */
#include "format/pprof.h"

#include "format/gzip.h"
#include "format/wire_writer.h"
#include "profile.pb-c.h"

#include <errno.h>
#include <string.h>

#define GZIP_LEVEL 1 /* two fifths of the time of level 6 for 6 % more bytes (tests/bench/bench_pprof) */

#define NO_ID UINT32_MAX

/* A label and a line have four numbers and three, so what precedes each is WIRE_HEAD bytes. */
#define LABEL_MAX_SIZE (WIRE_HEAD + 4 * (1 + WIRE_VARINT_MAX))
#define LINE_MAX_SIZE (WIRE_HEAD + 3 * (1 + WIRE_VARINT_MAX))

struct pprof_writer {
	const struct profile *profile;
	struct text *packed;
	uint32_t *string_ids; /* of the model's strings; NO_ID: not in the file */
};

/* protobuf-c appends what it packs through this. */
struct packed_sink {
	ProtobufCBuffer base;
	struct text *text;
};

static void packed_append(ProtobufCBuffer *buffer, size_t size, const uint8_t *bytes)
{
	text_add_bytes(container_of(buffer, struct packed_sink, base)->text, bytes, size);
}

static int write_piece(struct pprof_writer *writer, const Pprof__Profile *piece)
{
	struct packed_sink sink = {.base.append = packed_append, .text = writer->packed};
	pprof__profile__pack_to_buffer(piece, &sink.base);
	return writer->packed->failed ? -ENOMEM : 0;
}

/* ---- Strings --------------------------------------------------------------------------------- */

static void use_value_type(uint32_t *used, struct profile_value_type type)
{
	used[type.type] = used[type.unit] = 0;
}

static void use_header_strings(const struct profile *profile, uint32_t *used)
{
	for (size_t i = 0; i < profile->sample_types.count; i++)
		use_value_type(used, profile->sample_types.items[i]);
	for (size_t i = 0; i < profile->comments.count; i++)
		used[profile->comments.items[i]] = 0;
	use_value_type(used, profile->period_type);
	used[profile->default_sample_type] = used[profile->drop_frames] = 0;
	used[profile->keep_frames] = used[profile->doc_url] = 0;
}

static void use_strings(const struct profile *profile, uint32_t *used)
{
	use_header_strings(profile, used);
	for (size_t i = 0; i < profile->mappings.count; i++) {
		used[profile->mappings.items[i].file] = 0;
		used[profile->mappings.items[i].build_id] = 0;
	}
	for (size_t i = 0; i < profile->functions.count; i++) {
		const struct profile_function *function = &profile->functions.items[i];
		used[function->name] = used[function->system_name] = used[function->file] = 0;
	}
	for (size_t i = 0; i < profile->labels.count; i++) {
		const struct profile_label *label = &profile->labels.items[i];
		used[label->key] = used[label->text] = used[label->unit] = 0;
	}
}

static int number_strings(struct pprof_writer *writer)
{
	size_t count = writer->profile->strings.count;
	writer->string_ids = malloc((count + 1) * sizeof(*writer->string_ids));
	if (!writer->string_ids)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		writer->string_ids[i] = NO_ID;
	writer->string_ids[0] = 0;
	use_strings(writer->profile, writer->string_ids);
	uint32_t next = 0;
	for (size_t i = 0; i < count; i++)
		if (writer->string_ids[i] != NO_ID)
			writer->string_ids[i] = next++;
	return 0;
}

static uint32_t string_id(const struct pprof_writer *writer, uint32_t string)
{
	return writer->string_ids[string];
}

/* ---- Messages -------------------------------------------------------------------------------- */

static Pprof__ValueType value_type(const struct pprof_writer *writer,
				   struct profile_value_type type)
{
	Pprof__ValueType message = PPROF__VALUE_TYPE__INIT;
	message.type = string_id(writer, type.type);
	message.unit = string_id(writer, type.unit);
	return message;
}

static int write_sample_types(struct pprof_writer *writer)
{
	for (size_t i = 0; i < writer->profile->sample_types.count; i++) {
		Pprof__ValueType type = value_type(writer, writer->profile->sample_types.items[i]);
		Pprof__Profile piece = PPROF__PROFILE__INIT;
		piece.n_sample_type = 1;
		piece.sample_type = &(Pprof__ValueType *){&type};
		int r = write_piece(writer, &piece);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where a field of Profile begins that is written in place, with room for `size` bytes of contents behind WIRE_HEAD.
 * NULL when out of memory. */
static uint8_t *begin_field(struct pprof_writer *writer, size_t size)
{
	return (uint8_t *)text_room(writer->packed, size + WIRE_NUMBER_MAX);
}

static void end_field(struct pprof_writer *writer, uint8_t *field, uint32_t number, uint8_t *end)
{
	writer->packed->length += (size_t)(wire_end_at(field, number, end) - field);
}

static uint8_t *label_at(const struct pprof_writer *writer, const struct profile_label *label, uint8_t *at)
{
	uint8_t *end = at + WIRE_HEAD;
	end = wire_number_at(end, 1, string_id(writer, label->key));
	end = wire_number_at(end, 2, string_id(writer, label->text));
	if (!label->text) {
		end = wire_number_at(end, 3, (uint64_t)label->number);
		end = wire_number_at(end, 4, string_id(writer, label->unit));
	}
	return wire_end_at(at, 3, end);
}

static uint8_t *location_ids_at(const uint32_t *locations, uint32_t count, uint8_t *at)
{
	uint8_t *end = at + WIRE_HEAD;
	for (uint32_t i = 0; i < count; i++)
		end = wire_varint_at(end, 1ULL + locations[i]);
	return count ? wire_end_at(at, 1, end) : at;
}

static uint8_t *values_at(const int64_t *values, size_t count, uint8_t *at)
{
	uint8_t *end = at + WIRE_HEAD;
	for (size_t i = 0; i < count; i++)
		end = wire_varint_at(end, (uint64_t)values[i]);
	return count ? wire_end_at(at, 2, end) : at;
}

static int write_sample(struct pprof_writer *writer, size_t index)
{
	const struct profile *profile = writer->profile;
	const struct profile_sample *sample = &profile->samples.items[index];
	size_t types = profile->sample_types.count;
	uint8_t *field = begin_field(writer, 2 * WIRE_NUMBER_MAX +
						     (sample->location_count + types) * WIRE_VARINT_MAX +
						     (size_t)sample->label_count * LABEL_MAX_SIZE);
	if (!field)
		return -ENOMEM;
	uint8_t *at = location_ids_at(profile->stack_locations.items + sample->first_location,
				      sample->location_count, field + WIRE_HEAD);
	at = values_at(profile->values.items + index * types, types, at);
	for (uint32_t i = 0; i < sample->label_count; i++)
		at = label_at(writer, &profile->labels.items[sample->first_label + i], at);
	end_field(writer, field, 2, at);
	return 0;
}

static int write_mapping(struct pprof_writer *writer, size_t index)
{
	const struct profile_mapping *mapping = &writer->profile->mappings.items[index];
	Pprof__Mapping message = PPROF__MAPPING__INIT;
	message.id = index + 1;
	message.memory_start = mapping->start;
	message.memory_limit = mapping->limit;
	message.file_offset = mapping->offset;
	message.filename = string_id(writer, mapping->file);
	message.build_id = string_id(writer, mapping->build_id);
	message.has_functions = mapping->has_functions;
	message.has_filenames = mapping->has_filenames;
	message.has_line_numbers = mapping->has_line_numbers;
	message.has_inline_frames = mapping->has_inline_frames;

	Pprof__Profile piece = PPROF__PROFILE__INIT;
	piece.n_mapping = 1;
	piece.mapping = &(Pprof__Mapping *){&message};
	return write_piece(writer, &piece);
}

static uint8_t *line_at(const struct profile_line *line, uint8_t *at)
{
	uint8_t *end = at + WIRE_HEAD;
	end = wire_number_at(end, 1, line->function == PROFILE_NONE ? 0 : 1ULL + line->function);
	end = wire_number_at(end, 2, (uint64_t)line->line);
	end = wire_number_at(end, 3, (uint64_t)line->column);
	return wire_end_at(at, 4, end);
}

static int write_location(struct pprof_writer *writer, size_t index)
{
	const struct profile *profile = writer->profile;
	const struct profile_location *location = &profile->locations.items[index];
	uint8_t *field =
		begin_field(writer, 4 * WIRE_NUMBER_MAX + (size_t)location->line_count * LINE_MAX_SIZE);
	if (!field)
		return -ENOMEM;
	uint8_t *at = wire_number_at(field + WIRE_HEAD, 1, index + 1);
	at = wire_number_at(at, 2, location->mapping == PROFILE_NONE ? 0 : 1ULL + location->mapping);
	at = wire_number_at(at, 3, location->address);
	for (uint32_t i = 0; i < location->line_count; i++)
		at = line_at(&profile->lines.items[location->first_line + i], at);
	at = wire_number_at(at, 5, location->is_folded);
	end_field(writer, field, 4, at);
	return 0;
}

static int write_function(struct pprof_writer *writer, size_t index)
{
	const struct profile_function *function = &writer->profile->functions.items[index];
	Pprof__Function message = PPROF__FUNCTION__INIT;
	message.id = index + 1;
	message.name = string_id(writer, function->name);
	message.system_name = string_id(writer, function->system_name);
	message.filename = string_id(writer, function->file);
	message.start_line = function->start_line;

	Pprof__Profile piece = PPROF__PROFILE__INIT;
	piece.n_function = 1;
	piece.function = &(Pprof__Function *){&message};
	return write_piece(writer, &piece);
}

static int write_strings(struct pprof_writer *writer)
{
	const struct strings *strings = &writer->profile->strings;
	struct text valid = {0};
	for (uint32_t i = 0; i < strings->count; i++) {
		if (writer->string_ids[i] == NO_ID)
			continue;
		valid.length = 0;
		text_add_utf8(&valid, strings_get(strings, i), strings_length(strings, i));
		wire_put_text(writer->packed, 6, &valid);
	}
	text_free(&valid);
	return writer->packed->failed ? -ENOMEM : 0;
}

static int write_header(struct pprof_writer *writer)
{
	const struct profile *profile = writer->profile;
	_cleanup_free_ int64_t *comments = calloc(profile->comments.count + 1, sizeof(*comments));
	if (!comments)
		return -ENOMEM;
	for (size_t i = 0; i < profile->comments.count; i++)
		comments[i] = string_id(writer, profile->comments.items[i]);

	Pprof__ValueType period_type = value_type(writer, profile->period_type);
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	piece.drop_frames = string_id(writer, profile->drop_frames);
	piece.keep_frames = string_id(writer, profile->keep_frames);
	piece.time_nanos = profile->time_ns;
	piece.duration_nanos = profile->duration_ns;
	if (profile->period_type.type || profile->period_type.unit)
		piece.period_type = &period_type;
	piece.period = profile->period;
	piece.n_comment = profile->comments.count;
	piece.comment = comments;
	piece.default_sample_type = string_id(writer, profile->default_sample_type);
	piece.doc_url = string_id(writer, profile->doc_url);
	return write_piece(writer, &piece);
}

static int write_each(struct pprof_writer *writer, size_t count,
		      int (*write_one)(struct pprof_writer *writer, size_t index))
{
	for (size_t i = 0; i < count; i++) {
		int r = write_one(writer, i);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_profile(struct pprof_writer *writer)
{
	const struct profile *profile = writer->profile;
	int r = number_strings(writer);
	if (r == 0)
		r = write_sample_types(writer);
	if (r == 0)
		r = write_each(writer, profile->samples.count, write_sample);
	if (r == 0)
		r = write_each(writer, profile->mappings.count, write_mapping);
	if (r == 0)
		r = write_each(writer, profile->locations.count, write_location);
	if (r == 0)
		r = write_each(writer, profile->functions.count, write_function);
	if (r == 0)
		r = write_strings(writer);
	if (r == 0)
		r = write_header(writer);
	return r;
}

static void writer_release(struct pprof_writer *writer)
{
	free(writer->string_ids);
}

static int encode_raw(const struct profile *profile, struct text *out)
{
	_cleanup_(writer_release) struct pprof_writer writer = {.profile = profile, .packed = out};
	return write_profile(&writer);
}

int pprof_encode(const struct profile *profile, enum pprof_compression compression,
		 struct text *out)
{
	_cleanup_(text_free) struct text packed = {0};
	if (compression != PPROF_GZIP)
		return encode_raw(profile, out);
	int r = encode_raw(profile, &packed);
	return r < 0 ? r : gzip_compress(packed.bytes, packed.length, GZIP_LEVEL, out);
}
