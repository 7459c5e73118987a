/* SPDX-License-Identifier: Apache-2.0 */
/* See pprof_decoder.h. Reads what samples refer to: sample types, mappings, functions, locations.
 */
#include "format/pprof_decoder.h"

static uint32_t clamp_line(uint64_t number)
{
	int64_t line = (int64_t)number;
	return line < 0 ? 0 : (uint32_t)MIN_OF(line, (int64_t)UINT32_MAX);
}

static int add_id(struct pprof_decoder *decoder, struct id_map *map, uint64_t id, size_t index,
		  const uint8_t *where, const char *what)
{
	if (id == 0)
		return pprof_refuse(decoder, where, "a %s has id 0", what);
	int r = index < PROFILE_NONE ? id_map_add(map, id, (uint32_t)index) : -ENOMEM;
	return r == -EEXIST ? pprof_refuse(decoder, where, "two %ss have id %llu", what,
					   (unsigned long long)id)
			    : r;
}

int pprof_read_value_type(struct pprof_decoder *decoder, struct wire_reader reader,
			  struct profile_value_type *ret)
{
	uint64_t numbers[NUMBERS_MAX];
	int r = pprof_read_numbers(decoder, reader, "a value type", numbers, 3);
	if (r == 0)
		r = pprof_string_of(decoder, numbers[1], reader.next, &ret->type);
	return r < 0 ? r : pprof_string_of(decoder, numbers[2], reader.next, &ret->unit);
}

int pprof_read_sample_type(struct pprof_decoder *decoder, struct wire_reader reader)
{
	struct profile_value_type type = {0};
	int r = pprof_read_value_type(decoder, reader, &type);
	return r < 0 ? r : array_add(&decoder->profile->sample_types, type);
}

int pprof_read_mapping(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint64_t numbers[NUMBERS_MAX];
	int r = pprof_read_numbers(decoder, reader, "a mapping", numbers, 11);
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
		r = pprof_string_of(decoder, numbers[5], reader.next, &mapping.file);
	if (r == 0)
		r = pprof_string_of(decoder, numbers[6], reader.next, &mapping.build_id);
	return r < 0 ? r : array_add(&decoder->profile->mappings, mapping);
}

int pprof_read_function(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint64_t numbers[NUMBERS_MAX];
	int r = pprof_read_numbers(decoder, reader, "a function", numbers, 6);
	if (r == 0)
		r = add_id(decoder, &decoder->functions, numbers[1],
			   decoder->profile->functions.count, reader.next, "function");
	struct profile_function function = {.start_line = clamp_line(numbers[5])};
	if (r == 0)
		r = pprof_string_of(decoder, numbers[2], reader.next, &function.name);
	if (r == 0)
		r = pprof_string_of(decoder, numbers[3], reader.next, &function.system_name);
	if (r == 0)
		r = pprof_string_of(decoder, numbers[4], reader.next, &function.file);
	return r < 0 ? r : array_add(&decoder->profile->functions, function);
}

static int read_line(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint64_t numbers[NUMBERS_MAX];
	int r = pprof_read_numbers(decoder, reader, "a line", numbers, 4);
	if (r < 0)
		return r;
	return array_add(&decoder->profile->lines,
			 (struct profile_line){
				 .function = id_map_get(&decoder->functions, numbers[1]),
				 .line = clamp_line(numbers[2]),
				 .column = clamp_line(numbers[3]),
			 });
}

int pprof_read_location(struct pprof_decoder *decoder, struct wire_reader reader)
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
			return pprof_refuse_type(decoder, &reader, &field, "a location");
		if (field.number != 4)
			numbers[field.number] = field.value;
		else if ((r = read_line(decoder, field.bytes)) < 0)
			return r;
	}
	if (r < 0)
		return pprof_refuse_field(decoder, &reader, "a location");
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
