/* SPDX-License-Identifier: Apache-2.0 */
/* See pprof_decoder.h. Reads samples and their labels. */
#include "format/pprof_decoder.h"

static int add_sample_location(struct pprof_decoder *decoder, uint64_t id, const uint8_t *where)
{
	uint32_t location = id_map_get(&decoder->locations, id);
	if (location == ID_MAP_NONE)
		return pprof_refuse(decoder, where,
				    "a sample names location %llu, which is not there",
				    (unsigned long long)id);
	return array_add(&decoder->profile->stack_locations, location);
}

static int add_sample_value(struct pprof_decoder *decoder, uint64_t value, const uint8_t *where)
{
	return array_add(&decoder->profile->values, (int64_t)value);
}

static int read_label(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint64_t numbers[NUMBERS_MAX];
	struct profile_label label = {0};
	int r = pprof_read_numbers(decoder, reader, "a label", numbers, 5);
	if (r == 0)
		r = pprof_string_of(decoder, numbers[1], reader.next, &label.key);
	if (r == 0)
		r = pprof_string_of(decoder, numbers[2], reader.next, &label.text);
	if (r == 0)
		r = pprof_string_of(decoder, numbers[4], reader.next, &label.unit);
	label.number = (int64_t)numbers[3];
	return r < 0 ? r : array_add(&decoder->profile->labels, label);
}

int pprof_read_sample(struct pprof_decoder *decoder, struct wire_reader reader)
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
			read = pprof_read_repeated(decoder, &reader, &field, "a sample",
						   add_sample_location);
		else if (field.number == 2)
			read = pprof_read_repeated(decoder, &reader, &field, "a sample",
						   add_sample_value);
		else if (field.number == 3)
			read = field.type == WIRE_BYTES
				       ? read_label(decoder, field.bytes)
				       : pprof_refuse_type(decoder, &reader, &field, "a sample");
		if (read < 0)
			return read;
	}
	if (r < 0)
		return pprof_refuse_field(decoder, &reader, "a sample");
	values = profile->values.count - values;
	if (values != profile->sample_types.count)
		return pprof_refuse(decoder, start,
				    "a sample has %zu values where the file has %zu sample types",
				    values, profile->sample_types.count);
	if (values == 0)
		return pprof_refuse(decoder, start, "samples, but no sample types");
	return array_add(
		&profile->samples,
		(struct profile_sample){
			.first_location = (uint32_t)locations,
			.location_count = (uint32_t)(profile->stack_locations.count - locations),
			.first_label = (uint32_t)labels,
			.label_count = (uint32_t)(profile->labels.count - labels),
		});
}
