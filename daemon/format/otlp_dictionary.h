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

struct otlp_dictionary {
	const struct profile *profile;
	struct strings tables[OTLP_TABLES]; /* that of OTLP_STRINGS stays empty */
	ARRAY(uint32_t) strings; /* of the model, or OTLP_OWN_STRING with an index of own_strings */
	struct strings own_strings;
	ARRAY(uint32_t) own_string_of; /* index in `strings` */
	struct otlp_known_label *known_labels; /* OTLP_KNOWN_LABELS, by a hash of the label */
	/* By index of the model: index in the table, or OTLP_UNKNOWN. */
	uint32_t *string_of, *mapping_of, *function_of, *location_of;
	uint32_t frame_type_of[FRAME_TYPE_MAX];
	struct text scratch, packed, line, stack; /* of the entry being made */
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

uint32_t otlp_link(struct otlp_dictionary *dictionary, const struct profile_link *link);

/* Appends the dictionary as field `number`. */
void otlp_dictionary_write(const struct otlp_dictionary *dictionary, uint32_t number, struct text *out);

/* Appends `text` made valid UTF-8 as field `number`. */
void otlp_put_utf8(struct text *out, uint32_t number, const char *text);
