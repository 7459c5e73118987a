/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ProfilesDictionary of one message: each entry of its tables once, as its encoded bytes, so that
 * equal entries have equal indices by construction and entry 0, the zero value, is the empty message.
 * An entry is made when something refers to it: there are no orphans.
 *
 * Texts are the bulk of a message, and the model has each of them once already. So the table of strings
 * holds which of the model's it has, and only texts that the model lacks are interned here.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "base/text.h"
#include "format/wire_table.h"
#include "profile/profile.h"

/* Numbered as the fields of ProfilesDictionary. */
enum otlp_table {
	OTLP_MAPPINGS = 1,
	OTLP_LOCATIONS = 2,
	OTLP_FUNCTIONS = 3,
	OTLP_LINKS = 4,
	OTLP_STRINGS = 5,
	OTLP_ATTRIBUTES = 6,
	OTLP_STACKS = 7,
	OTLP_TABLES
};

/* Attributes of samples come again and again: what was made last of a label is remembered. */
#define OTLP_KNOWN_LABELS 256

struct otlp_known_label {
	struct profile_label label;
	uint32_t attribute; /* 0: none is known here */
};

#define OTLP_OWN_STRING (1U << 31)
#define OTLP_UNKNOWN UINT32_MAX

struct otlp_dictionary {
	const struct profile *profile;
	struct wire_table tables[OTLP_TABLES]; /* that of OTLP_STRINGS stays empty */
	ARRAY(uint32_t) strings; /* of the model, or OTLP_OWN_STRING with an index of own_strings */
	size_t strings_size; /* of these, as they are written */
	struct strings own_strings;
	ARRAY(uint32_t) own_string_of; /* index in `strings` */
	struct otlp_known_label *known_labels; /* OTLP_KNOWN_LABELS, by a hash of the label */
	/* By index of the model: index in the table, or OTLP_UNKNOWN. */
	uint32_t *string_of, *mapping_of, *function_of, *location_of;
	uint32_t frame_type_of[FRAME_TYPE_MAX];
	struct text scratch; /* of the attribute being made */
	bool is_ascii; /* all of the model's strings */
	bool failed; /* out of memory: indices returned since mean nothing */
};

/* Zero-initialise. Empties everything but the zero values. Returns 0 or -ENOMEM. */
int otlp_dictionary_reset(struct otlp_dictionary *dictionary, const struct profile *profile);
void otlp_dictionary_free(struct otlp_dictionary *dictionary);

/* The index of a text, made valid UTF-8; of a string of the model. */
uint32_t otlp_text(struct otlp_dictionary *dictionary, const char *text, size_t size);
uint32_t otlp_string(struct otlp_dictionary *dictionary, uint32_t string);

/* Attributes: of a label; text; number; truth. */
uint32_t otlp_label(struct otlp_dictionary *dictionary, const struct profile_label *label);
uint32_t otlp_text_attribute(struct otlp_dictionary *dictionary, const char *key, const char *text);
uint32_t otlp_number_attribute(struct otlp_dictionary *dictionary, const char *key, int64_t number);
uint32_t otlp_true_attribute(struct otlp_dictionary *dictionary, const char *key);

/* An attribute whose AnyValue is encoded already. */
uint32_t otlp_attribute(struct otlp_dictionary *dictionary, uint32_t key, const struct text *value,
			uint32_t unit);

/* The stack of a sample; 0 when it has no frames. */
uint32_t otlp_stack(struct otlp_dictionary *dictionary, const struct profile_sample *sample);

/* A link to a span. */
uint32_t otlp_link(struct otlp_dictionary *dictionary, const struct profile_link *link);

/* Appends the dictionary as field `number`. */
void otlp_dictionary_write(const struct otlp_dictionary *dictionary, uint32_t number, struct text *out);

/* Appends `text` made valid UTF-8 as field `number`. */
void otlp_put_utf8(struct text *out, uint32_t number, const char *text);

/* ---- For its parts ----------------------------------------------------------------------------- */

/* Is no byte of it above 127? Then it is valid UTF-8 as it is. */
bool otlp_is_ascii(const char *text, size_t size);

/* Writes the table of strings, which takes `strings_size` bytes; returns its end. */
uint8_t *otlp_strings_at(const struct otlp_dictionary *dictionary, uint8_t *at);

/* Where an entry of at most `size` bytes may be made, and its index when it is. NULL and 0 when that failed. */
static inline uint8_t *otlp_entry(struct otlp_dictionary *d, enum otlp_table table, size_t size)
{
	uint8_t *room = wire_table_room(&d->tables[table], size);
	d->failed |= !room;
	return room;
}

static inline uint32_t otlp_add_entry(struct otlp_dictionary *d, enum otlp_table table, const uint8_t *end)
{
	uint32_t index = 0;
	d->failed |= wire_table_add(&d->tables[table], end, &index) < 0;
	return index;
}
