/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_dictionary.h. */
#include "format/otlp_dictionary.h"

#include "format/wire_writer.h"

#include <errno.h>

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
		d->is_ascii = otlp_is_ascii(profile->strings.bytes, profile->strings.bytes_used);
	d->profile = profile;
	d->failed = false;
	const size_t expected[OTLP_TABLES] = {
		[OTLP_LOCATIONS] = profile->locations.count,
		[OTLP_FUNCTIONS] = profile->functions.count,
		[OTLP_STACKS] = profile->samples.count,
	};
	for (uint32_t i = OTLP_MAPPINGS; i < OTLP_TABLES; i++)
		if (wire_table_reset(&d->tables[i], i, expected[i]) < 0)
			return -ENOMEM;
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
	d->strings_size = wire_size_of_size(OTLP_STRINGS, 0);
	d->string_of[0] = 0; /* "" in the model too */
	return array_add(&d->strings, 0);
}

void otlp_dictionary_free(struct otlp_dictionary *d)
{
	for (int i = OTLP_MAPPINGS; i < OTLP_TABLES; i++)
		wire_table_free(&d->tables[i]);
	array_free(&d->strings);
	strings_free(&d->own_strings);
	array_free(&d->own_string_of);
	free(d->known_labels);
	free(d->string_of);
	free(d->mapping_of);
	free(d->function_of);
	free(d->location_of);
	text_free(&d->scratch);
}

void otlp_dictionary_write(const struct otlp_dictionary *d, uint32_t number, struct text *out)
{
	size_t total = d->strings_size;
	for (uint32_t i = OTLP_MAPPINGS; i < OTLP_TABLES; i++)
		total += i == OTLP_STRINGS ? 0 : d->tables[i].wire.length;
	uint8_t *room = (uint8_t *)text_room(out, WIRE_NUMBER_MAX + total);
	if (!room)
		return;
	uint8_t *at = wire_size_at(room, number, total);
	for (uint32_t i = OTLP_MAPPINGS; i < OTLP_TABLES; i++) {
		const struct text *wire = &d->tables[i].wire;
		at = i == OTLP_STRINGS ? otlp_strings_at(d, at)
				       : (uint8_t *)mempcpy(at, wire->bytes, wire->length);
	}
	out->length += (size_t)(at - room);
}
