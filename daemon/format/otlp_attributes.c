/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of the dictionary. Field numbers are those of proto/otlp.proto. */
#include "format/otlp_dictionary.h"

#include "format/wire_writer.h"

uint32_t otlp_attribute(struct otlp_dictionary *d, uint32_t key, const struct text *value,
			uint32_t unit)
{
	uint8_t *at = otlp_entry(d, OTLP_ATTRIBUTES, 3 * WIRE_NUMBER_MAX + value->length);
	d->failed |= value->failed;
	if (d->failed)
		return 0;
	at = wire_number_at(at, 1, key);
	at = wire_bytes_at(at, 2, value->bytes, value->length);
	at = wire_number_at(at, 3, unit);
	return otlp_add_entry(d, OTLP_ATTRIBUTES, at);
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
