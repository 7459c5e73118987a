/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes pprof through protobuf-c without ever holding the whole message tree: the file is the
 * concatenation of many small Profile messages with one sample, location or string each. By the
 * rules of protobuf (repeated fields of concatenated messages are appended) that is, byte for byte,
 * the encoding of the one Profile that holds them all. Memory is one piece and the packed bytes.
 *
 * The model has strings that pprof has no place for: those in use here are numbered in their order.
 */
#include "format/pprof.h"

#include "format/gzip.h"
#include "profile.pb-c.h"

#include <errno.h>
#include <string.h>

#define GZIP_LEVEL 1 /* two fifths of the time of level 6 for 6 % more bytes (tests/bench/bench_pprof) */

#define NO_ID UINT32_MAX

struct pprof_writer {
	const struct profile *profile;
	struct text *packed;
	uint32_t *string_ids; /* of the model's strings; NO_ID: not in the file */
	ARRAY(uint64_t) ids;		/* of the sample being written */
	ARRAY(Pprof__Label) labels;
	ARRAY(Pprof__Label *) label_pointers;
	ARRAY(Pprof__Line) lines;
	ARRAY(Pprof__Line *) line_pointers;
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

/* Fills the scratch arrays with the labels of one sample. */
static int collect_labels(struct pprof_writer *writer, const struct profile_sample *sample)
{
	if (array_reserve(&writer->labels, sample->label_count) < 0 ||
	    array_reserve(&writer->label_pointers, sample->label_count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < sample->label_count; i++) {
		const struct profile_label *label =
			&writer->profile->labels.items[sample->first_label + i];
		Pprof__Label *message = &writer->labels.items[i];
		pprof__label__init(message);
		message->key = string_id(writer, label->key);
		message->str = string_id(writer, label->text);
		message->num = label->text ? 0 : label->number;
		message->num_unit = label->text ? 0 : string_id(writer, label->unit);
		writer->label_pointers.items[i] = message;
	}
	return 0;
}

static int write_sample(struct pprof_writer *writer, size_t index)
{
	const struct profile *profile = writer->profile;
	const struct profile_sample *sample = &profile->samples.items[index];
	if (array_reserve(&writer->ids, sample->location_count) < 0 ||
	    collect_labels(writer, sample) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < sample->location_count; i++)
		writer->ids.items[i] =
			1ULL + profile->stack_locations.items[sample->first_location + i];

	Pprof__Sample message = PPROF__SAMPLE__INIT;
	message.n_location_id = sample->location_count;
	message.location_id = writer->ids.items;
	message.n_value = profile->sample_types.count;
	message.value = profile->values.items + index * profile->sample_types.count;
	message.n_label = sample->label_count;
	message.label = writer->label_pointers.items;

	Pprof__Profile piece = PPROF__PROFILE__INIT;
	piece.n_sample = 1;
	piece.sample = &(Pprof__Sample *){&message};
	return write_piece(writer, &piece);
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

static int collect_lines(struct pprof_writer *writer, const struct profile_location *location)
{
	if (array_reserve(&writer->lines, location->line_count) < 0 ||
	    array_reserve(&writer->line_pointers, location->line_count) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < location->line_count; i++) {
		const struct profile_line *line =
			&writer->profile->lines.items[location->first_line + i];
		Pprof__Line *message = &writer->lines.items[i];
		pprof__line__init(message);
		message->function_id = line->function == PROFILE_NONE ? 0 : 1ULL + line->function;
		message->line = line->line;
		message->column = line->column;
		writer->line_pointers.items[i] = message;
	}
	return 0;
}

static int write_location(struct pprof_writer *writer, size_t index)
{
	const struct profile_location *location = &writer->profile->locations.items[index];
	if (collect_lines(writer, location) < 0)
		return -ENOMEM;
	Pprof__Location message = PPROF__LOCATION__INIT;
	message.id = index + 1;
	message.mapping_id = location->mapping == PROFILE_NONE ? 0 : 1ULL + location->mapping;
	message.address = location->address;
	message.n_line = location->line_count;
	message.line = writer->line_pointers.items;
	message.is_folded = location->is_folded;

	Pprof__Profile piece = PPROF__PROFILE__INIT;
	piece.n_location = 1;
	piece.location = &(Pprof__Location *){&message};
	return write_piece(writer, &piece);
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
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < strings->count; i++) {
		if (writer->string_ids[i] == NO_ID)
			continue;
		valid.length = 0;
		text_add_utf8(&valid, strings_get(strings, i), strings_length(strings, i));
		ProtobufCBinaryData bytes = {.len = valid.length, .data = (uint8_t *)valid.bytes};
		Pprof__Profile piece = PPROF__PROFILE__INIT;
		piece.n_string_table = 1;
		piece.string_table = &bytes;
		r = valid.failed ? -ENOMEM : write_piece(writer, &piece);
	}
	text_free(&valid);
	return r;
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
	array_free(&writer->ids);
	array_free(&writer->labels);
	array_free(&writer->label_pointers);
	array_free(&writer->lines);
	array_free(&writer->line_pointers);
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
