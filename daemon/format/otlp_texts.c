/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the dictionary: which of the model's it has, and those that the model lacks. */
#include "format/otlp_dictionary.h"

#include "format/wire_writer.h"

bool otlp_is_ascii(const char *text, size_t size)
{
	uint64_t all = 0, words[4];
	size_t i = 0;
	for (; i + sizeof(words) <= size; i += sizeof(words)) {
		memcpy(words, text + i, sizeof(words));
		all |= words[0] | words[1] | words[2] | words[3];
	}
	for (; i + sizeof(*words) <= size; i += sizeof(*words)) {
		memcpy(words, text + i, sizeof(*words));
		all |= words[0];
	}
	for (; i < size; i++)
		all |= (uint8_t)text[i];
	return (all & 0x8080808080808080ULL) == 0;
}

static uint32_t add_string(struct otlp_dictionary *d, uint32_t string, size_t size)
{
	if (array_add(&d->strings, string) < 0)
		d->failed = true;
	d->strings_size += wire_size_of_size(OTLP_STRINGS, size) + size;
	return (uint32_t)d->strings.count - 1;
}

static uint32_t model_string(struct otlp_dictionary *d, uint32_t string)
{
	uint32_t *index = &d->string_of[string];
	if (*index == OTLP_UNKNOWN)
		*index = add_string(d, string, strings_length(&d->profile->strings, string));
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
	uint32_t index = add_string(d, OTLP_OWN_STRING | known, size);
	if (array_add(&d->own_string_of, index) < 0)
		d->failed = true;
	return index;
}

uint32_t otlp_text(struct otlp_dictionary *d, const char *text, size_t size)
{
	if (otlp_is_ascii(text, size))
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
	if (d->is_ascii || otlp_is_ascii(text, size))
		return model_string(d, string);
	/* Where it is valid this is the model's own, else the text that it becomes. */
	index = otlp_text(d, text, size);
	d->string_of[string] = index;
	return index;
}

void otlp_put_utf8(struct text *out, uint32_t number, const char *text)
{
	size_t size = strlen(text);
	if (otlp_is_ascii(text, size)) {
		wire_put_bytes(out, number, text, size);
		return;
	}
	struct text valid = {0};
	text_add_utf8(&valid, text, size);
	wire_put_text(out, number, &valid);
	text_free(&valid);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static const char *string_at(const struct otlp_dictionary *d, uint32_t string, size_t *ret_size)
{
	uint32_t own = string & ~OTLP_OWN_STRING;
	const struct strings *from = string == own ? &d->profile->strings : &d->own_strings;
	*ret_size = strings_length(from, own);
	return strings_get(from, own);
}

uint8_t *otlp_strings_at(const struct otlp_dictionary *d, uint8_t *at)
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
