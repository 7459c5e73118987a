/* SPDX-License-Identifier: Apache-2.0 */
/* See pprof_decoder.h. Owns how fields are read and how a file is refused. */
#include "format/pprof_decoder.h"

#include <stdio.h>

int pprof_refuse(struct pprof_decoder *decoder, const uint8_t *where, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(decoder->failure->text, sizeof(decoder->failure->text), format, arguments);
	va_end(arguments);
	decoder->failure->offset = where ? (size_t)(where - decoder->message.next) : 0;
	return -EBADMSG;
}

int pprof_refuse_field(struct pprof_decoder *decoder, const struct wire_reader *reader,
		       const char *what)
{
	return pprof_refuse(decoder, reader->next, "%s is cut short or not a protobuf message",
			    what);
}

int pprof_refuse_type(struct pprof_decoder *decoder, const struct wire_reader *reader,
		      const struct wire_field *field, const char *what)
{
	return pprof_refuse(decoder, reader->next, "field %u of %s has wire type %d", field->number,
			    what, (int)field->type);
}

int pprof_string_of(struct pprof_decoder *decoder, uint64_t index, const uint8_t *where,
		    uint32_t *ret)
{
	if (index == 0) {
		*ret = 0;
		return 0;
	}
	if (index >= decoder->strings.count)
		return pprof_refuse(decoder, where, "string %lld where the table has %zu",
				    (long long)index, decoder->strings.count);
	*ret = decoder->strings.items[index];
	return 0;
}

int pprof_read_numbers(struct pprof_decoder *decoder, struct wire_reader reader, const char *what,
		       uint64_t numbers[NUMBERS_MAX], uint32_t count)
{
	struct wire_field field;
	int r;
	memset(numbers, 0, NUMBERS_MAX * sizeof(*numbers));
	while ((r = wire_next(&reader, &field)) > 0) {
		if (field.number >= count)
			continue;
		if (field.type != WIRE_VARINT)
			return pprof_refuse_type(decoder, &reader, &field, what);
		numbers[field.number] = field.value;
	}
	return r < 0 ? pprof_refuse_field(decoder, &reader, what) : 0;
}

int pprof_read_repeated(struct pprof_decoder *decoder, struct wire_reader *reader,
			struct wire_field *field, const char *what,
			int (*add)(struct pprof_decoder *, uint64_t, const uint8_t *))
{
	if (field->type == WIRE_VARINT)
		return add(decoder, field->value, reader->next);
	if (field->type != WIRE_BYTES)
		return pprof_refuse_type(decoder, reader, field, what);
	while (field->bytes.next < field->bytes.end) {
		uint64_t value;
		if (wire_varint(&field->bytes, &value) < 0)
			return pprof_refuse_field(decoder, &field->bytes, what);
		int r = add(decoder, value, field->bytes.next);
		if (r < 0)
			return r;
	}
	return 0;
}
