/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads pprof files of any producer. The order of fields in a file is free, so the message is walked
 * four times: strings; header, mappings and functions; locations; samples. Each walk skips what is
 * not its own at the cost of one length. Nothing is allocated for a count that a file merely claims:
 * every item in the model was paid for with at least two bytes of the file.
 */
#include "format/gzip.h"
#include "format/pprof_decoder.h"
#include "format/pprof_frame_type.h"

#include <stdio.h>

/* Inlined lines included. A frame of a stack takes a byte or more, and few have 16 lines. */
#define FRAMES_PER_BYTE 16
#define FRAMES_ALWAYS ((uint64_t)1 << 20)

static int read_string(struct pprof_decoder *decoder, struct wire_reader reader)
{
	uint32_t index;
	size_t length = (size_t)(reader.end - reader.next);
	if (decoder->strings.count == 0 && length)
		return pprof_refuse(decoder, reader.next, "the first string is not empty");
	if (strings_add(&decoder->profile->strings, (const char *)reader.next, length, &index) < 0)
		return -ENOMEM;
	return array_add(&decoder->strings, index);
}

static int add_comment(struct pprof_decoder *decoder, uint64_t value, const uint8_t *where)
{
	uint32_t string = 0;
	int r = pprof_string_of(decoder, value, where, &string);
	return r < 0 ? r : array_add(&decoder->profile->comments, string);
}

/* The fields of the message that are numbers. */
static int read_scalar(struct pprof_decoder *decoder, const struct wire_reader *reader,
		       const struct wire_field *field)
{
	struct profile *profile = decoder->profile;
	switch (field->number) {
	case 7:
		return pprof_string_of(decoder, field->value, reader->next, &profile->drop_frames);
	case 8:
		return pprof_string_of(decoder, field->value, reader->next, &profile->keep_frames);
	case 9:
		profile->time_ns = (int64_t)field->value;
		return 0;
	case 10:
		profile->duration_ns = (int64_t)field->value;
		return 0;
	case 12:
		profile->period = (int64_t)field->value;
		return 0;
	case 14:
		return pprof_string_of(decoder, field->value, reader->next,
				 &profile->default_sample_type);
	case 15:
		return pprof_string_of(decoder, field->value, reader->next, &profile->doc_url);
	}
	return 0;
}

/* Field numbers whose content is a message or a string. */
static bool field_is_bytes(uint32_t number)
{
	return number <= 6 || number == 11;
}

static int walk_strings(struct pprof_decoder *decoder, struct wire_reader *reader,
			struct wire_field *field)
{
	if (field->number <= 15 && field->number != 13 &&
	    field->type != (field_is_bytes(field->number) ? WIRE_BYTES : WIRE_VARINT))
		return pprof_refuse_type(decoder, reader, field, "the profile");
	return field->number == 6 ? read_string(decoder, field->bytes) : 0;
}

static int walk_tables(struct pprof_decoder *decoder, struct wire_reader *reader,
		       struct wire_field *field)
{
	switch (field->number) {
	case 1:
		return pprof_read_sample_type(decoder, field->bytes);
	case 3:
		return pprof_read_mapping(decoder, field->bytes);
	case 5:
		return pprof_read_function(decoder, field->bytes);
	case 11:
		return pprof_read_value_type(decoder, field->bytes, &decoder->profile->period_type);
	case 13:
		return pprof_read_repeated(decoder, reader, field, "the comments", add_comment);
	default:
		return read_scalar(decoder, reader, field);
	}
}

static int walk_locations(struct pprof_decoder *decoder, struct wire_reader *reader,
			  struct wire_field *field)
{
	return field->number == 4 ? pprof_read_location(decoder, field->bytes) : 0;
}

static int walk_samples(struct pprof_decoder *decoder, struct wire_reader *reader,
			struct wire_field *field)
{
	return field->number == 2 ? pprof_read_sample(decoder, field->bytes) : 0;
}

typedef int (*walk_function)(struct pprof_decoder *, struct wire_reader *, struct wire_field *);

static int walk(struct pprof_decoder *decoder, walk_function each)
{
	struct wire_reader reader = decoder->message;
	struct wire_field field;
	int r;
	while ((r = wire_next(&reader, &field)) > 0) {
		int done = each(decoder, &reader, &field);
		if (done < 0)
			return done;
	}
	return r < 0 ? pprof_refuse_field(decoder, &reader, "the profile") : 0;
}

/*
 * A location may have any number of lines and a stack name it any number of times, so that a small
 * file could stand for more frames than any reader of the profile has time and memory for.
 */
static int check_frames(struct pprof_decoder *decoder)
{
	const struct profile *profile = decoder->profile;
	uint64_t bytes = (uint64_t)(decoder->message.end - decoder->message.next), frames = 0;
	for (size_t i = 0; i < profile->stack_locations.count; i++)
		frames += profile->locations.items[profile->stack_locations.items[i]].line_count;
	if (frames <= FRAMES_ALWAYS || frames / FRAMES_PER_BYTE <= bytes)
		return 0;
	return pprof_refuse(decoder, NULL, "%llu frames in a message of %llu bytes",
		      (unsigned long long)frames, (unsigned long long)bytes);
}

static int decode_message(struct pprof_decoder *decoder)
{
	static const walk_function walks[] = {walk_strings, walk_tables, walk_locations,
					      walk_samples};
	if (decoder->message.next == decoder->message.end)
		return pprof_refuse(decoder, NULL, "the file is empty");
	for (size_t i = 0; i < ARRAY_LENGTH(walks); i++) {
		int r = walk(decoder, walks[i]);
		if (r < 0)
			return r;
	}
	int r = pprof_guess_frame_types(decoder->profile);
	if (r < 0)
		return r;
	if (profile_check(decoder->profile) < 0)
		return pprof_refuse(decoder, NULL, "the profile contradicts itself");
	return check_frames(decoder);
}

static void decoder_release(struct pprof_decoder *decoder)
{
	array_free(&decoder->strings);
	id_map_free(&decoder->mappings);
	id_map_free(&decoder->functions);
	id_map_free(&decoder->locations);
	profile_free(decoder->profile);
}

static int refuse_size(struct pprof_failure *failure, size_t limit)
{
	snprintf(failure->text, sizeof(failure->text), "larger than %zu MiB when expanded", limit >> 20);
	return -EFBIG;
}

int pprof_expand(const void *bytes, size_t size, size_t limit, struct pprof_failure *failure, char **ret_bytes,
		 size_t *ret_size)
{
	*failure = (struct pprof_failure){0};
	int r = gzip_expand(bytes, size, limit, ret_bytes, ret_size, &failure->offset);
	if (r == -EBADMSG)
		snprintf(failure->text, sizeof(failure->text), "the gzip data is damaged or cut short");
	return r == -EFBIG ? refuse_size(failure, limit) : r;
}

int pprof_decode(const void *bytes, size_t size, size_t size_limit, struct pprof_failure *failure,
		 struct profile **ret)
{
	size_t limit = size_limit ? size_limit : PPROF_SIZE_LIMIT;
	_cleanup_free_ char *expanded = NULL;
	*failure = (struct pprof_failure){0};
	int r = size > limit ? refuse_size(failure, limit) : 0;
	if (r == 0 && gzip_is(bytes, size)) {
		r = pprof_expand(bytes, size, limit, failure, &expanded, &size);
		bytes = expanded;
	}
	if (r < 0)
		return r;

	_cleanup_(decoder_release) struct pprof_decoder decoder = {
		.message = {.next = bytes, .end = (const uint8_t *)bytes + size},
		.failure = failure,
	};
	r = profile_new(&decoder.profile);
	if (r == 0)
		r = decode_message(&decoder);
	if (r == 0)
		*ret = take_pointer(decoder.profile);
	return r;
}
