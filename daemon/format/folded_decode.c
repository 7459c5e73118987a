/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads folded stacks. A function and what was inlined into it are one location of the profile, and
 * stand side by side on the line; so a location is known by that stretch of the line.
 */
#include "format/folded.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct span {
	const char *start;
	size_t length;
};

struct folded_decoder {
	struct profile *profile;
	struct strings groups;	     /* stretches of lines; index = location */
	struct strings functions;    /* names; index = function */
	ARRAY(struct span) frames;   /* of the line being read, root first */
	ARRAY(uint32_t) locations;   /* likewise */
};

static bool cut_suffix(struct span *frame, const char *suffix)
{
	size_t length = strlen(suffix);
	if (frame->length <= length ||
	    memcmp(frame->start + frame->length - length, suffix, length) != 0)
		return false;
	frame->length -= length;
	return true;
}

static bool is_inlined(struct span frame)
{
	return cut_suffix(&frame, "_[i]");
}

static enum frame_type cut_type(struct span *frame)
{
	if (cut_suffix(frame, "_[k]"))
		return FRAME_TYPE_KERNEL;
	if (cut_suffix(frame, "_[j]"))
		return FRAME_TYPE_JIT;
	bool bracketed = frame->length > 2 && frame->start[0] == '[' &&
			 frame->start[frame->length - 1] == ']';
	return bracketed && !memmem(frame->start, frame->length, "+0x", 3) ? FRAME_TYPE_MARK
									      : FRAME_TYPE_NATIVE;
}

static int add_line(struct folded_decoder *decoder, struct span name)
{
	struct profile *profile = decoder->profile;
	struct profile_function function = {0};
	uint32_t index;
	if (strings_add(&decoder->functions, name.start, name.length, &index) < 0)
		return -ENOMEM;
	if (index == profile->functions.count &&
	    (strings_add(&profile->strings, name.start, name.length, &function.name) < 0 ||
	     array_add(&profile->functions, function) < 0))
		return -ENOMEM;
	return array_add(&profile->lines, (struct profile_line){.function = index});
}

/* A new location of the frames [first, first + count), outermost first. */
static int add_location(struct folded_decoder *decoder, size_t first, size_t count)
{
	struct profile *profile = decoder->profile;
	struct profile_location location = {
		.mapping = PROFILE_NONE,
		.first_line = (uint32_t)profile->lines.count,
		.line_count = (uint32_t)count,
	};
	for (size_t i = count; i-- > 0;) {
		struct span name = decoder->frames.items[first + i];
		if (i > 0)
			cut_suffix(&name, "_[i]");
		else
			location.type = cut_type(&name);
		if (add_line(decoder, name) < 0)
			return -ENOMEM;
	}
	return array_add(&profile->locations, location);
}

/* Splits into names; empty ones, as of a doubled ';', are none. */
static int split(struct folded_decoder *decoder, struct span stack)
{
	const char *end = stack.start + stack.length;
	decoder->frames.count = 0;
	if (stack.length == strlen(FOLDED_NO_STACK) &&
	    !memcmp(stack.start, FOLDED_NO_STACK, stack.length))
		return 0;
	for (const char *p = stack.start; p < end;) {
		const char *stop = memchr(p, ';', (size_t)(end - p));
		stop = stop ? stop : end;
		struct span frame = {p, (size_t)(stop - p)};
		if (frame.length && array_add(&decoder->frames, frame) < 0)
			return -ENOMEM;
		p = stop + 1;
	}
	return 0;
}

static int find_locations(struct folded_decoder *decoder)
{
	size_t count;
	decoder->locations.count = 0;
	for (size_t i = 0; i < decoder->frames.count; i += count) {
		for (count = 1; i + count < decoder->frames.count &&
				is_inlined(decoder->frames.items[i + count]);)
			count++;
		struct span first = decoder->frames.items[i];
		struct span last = decoder->frames.items[i + count - 1];
		uint32_t index;
		if (strings_add(&decoder->groups, first.start,
				(size_t)(last.start + last.length - first.start), &index) < 0)
			return -ENOMEM;
		if (index == decoder->profile->locations.count &&
		    add_location(decoder, i, count) < 0)
			return -ENOMEM;
		if (array_add(&decoder->locations, index) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_stack(struct folded_decoder *decoder, struct span stack, int64_t value)
{
	struct profile *profile = decoder->profile;
	if (split(decoder, stack) < 0 || find_locations(decoder) < 0)
		return -ENOMEM;
	struct profile_sample sample = {
		.first_location = (uint32_t)profile->stack_locations.count,
		.location_count = (uint32_t)decoder->locations.count,
	};
	for (size_t i = decoder->locations.count; i-- > 0;)
		if (array_add(&profile->stack_locations, decoder->locations.items[i]) < 0)
			return -ENOMEM;
	if (array_add(&profile->values, value) < 0)
		return -ENOMEM;
	return array_add(&profile->samples, sample);
}

/* Reads "-12.5" as -12. */
static bool read_value(struct span text, int64_t *ret)
{
	size_t i = text.length && text.start[0] == '-';
	bool negative = i > 0, digits = false;
	int64_t value = 0;
	for (; i < text.length && text.start[i] >= '0' && text.start[i] <= '9'; i++) {
		digits = true;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, text.start[i] - '0', &value))
			return false;
	}
	if (digits && i < text.length && text.start[i] == '.')
		for (i++; i < text.length && text.start[i] >= '0' && text.start[i] <= '9';)
			i++;
	*ret = negative ? -value : value;
	return digits && i == text.length;
}

static const char *read_stack(struct folded_decoder *decoder, struct span line, int *ret_error)
{
	const char *space = memrchr(line.start, ' ', line.length);
	struct span value = {space ? space + 1 : NULL, 0};
	int64_t number;
	*ret_error = -EBADMSG;
	if (!space)
		return "a line ends without a number";
	value.length = (size_t)(line.start + line.length - value.start);
	if (!read_value(value, &number))
		return "a line does not end in a number that fits 64 bits";
	*ret_error = add_stack(decoder, (struct span){line.start, (size_t)(space - line.start)},
			       number);
	return "";
}

static struct span trim(struct span line)
{
	while (line.length && strchr(" \t\r", line.start[line.length - 1]))
		line.length--;
	return line;
}

static int read_lines(struct folded_decoder *decoder, const char *bytes, size_t size,
		      struct folded_failure *failure)
{
	const char *end = bytes + size;
	while (bytes < end) {
		const char *stop = memchr(bytes, '\n', (size_t)(end - bytes));
		stop = stop ? stop : end;
		struct span line = trim((struct span){bytes, (size_t)(stop - bytes)});
		failure->line++;
		bytes = stop + 1;
		if (!line.length)
			continue;
		int r;
		const char *why = read_stack(decoder, line, &r);
		if (r < 0) {
			snprintf(failure->text, sizeof(failure->text), "%s", why);
			return r;
		}
	}
	if (decoder->profile->samples.count)
		return 0;
	snprintf(failure->text, sizeof(failure->text), "there are no stacks in it");
	return -EBADMSG;
}

static int add_sample_type(struct profile *profile)
{
	bool failed = false;
	struct profile_value_type type = {
		.type = profile_string(profile, "samples", &failed),
		.unit = profile_string(profile, "count", &failed),
	};
	return failed ? -ENOMEM : array_add(&profile->sample_types, type);
}

static void decoder_release(struct folded_decoder *decoder)
{
	profile_free(decoder->profile);
	strings_free(&decoder->groups);
	strings_free(&decoder->functions);
	array_free(&decoder->frames);
	array_free(&decoder->locations);
}

int folded_decode(const char *bytes, size_t size, struct folded_failure *failure,
		  struct profile **ret)
{
	_cleanup_(decoder_release) struct folded_decoder decoder = {0};
	*failure = (struct folded_failure){0};
	if (size > FOLDED_SIZE_LIMIT) {
		snprintf(failure->text, sizeof(failure->text), "larger than %zu MiB",
			 FOLDED_SIZE_LIMIT >> 20);
		return -EFBIG;
	}
	int r = profile_new(&decoder.profile);
	if (r == 0)
		r = add_sample_type(decoder.profile);
	if (r == 0)
		r = read_lines(&decoder, bytes, size, failure);
	if (r == 0)
		*ret = take_pointer(decoder.profile);
	return r;
}
