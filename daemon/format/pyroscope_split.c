/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pyroscope.h. Whole series stay as they are, with the ids of their profiles; one that is alone is cut like the
 * list of series, and one profile that is alone by its samples.
 */
#include "format/pyroscope.h"

#include "base/hash.h"
#include "format/pprof.h"
#include "format/pyroscope_fields.h"
#include "format/wire_writer.h"

#include <errno.h>
#include <stdio.h>

#define ID_TEXT_BYTES 37

/* The fields of one number in a message. */
struct members {
	ARRAY(struct wire_reader) list;
	size_t bytes; /* of all */
};

static struct wire_reader reader_of(const void *bytes, size_t size)
{
	return (struct wire_reader){(const uint8_t *)bytes, (const uint8_t *)bytes + size};
}

static size_t size_of(struct wire_reader bytes)
{
	return (size_t)(bytes.end - bytes.next);
}

static void put(struct text *out, uint32_t number, struct wire_reader bytes)
{
	wire_put_bytes(out, number, bytes.next, size_of(bytes));
}

/* Appends the message's other fields to `others`, which may be NULL. Returns 0, -EBADMSG or -ENOMEM. */
static int find_members(struct wire_reader message, uint32_t number, struct members *ret, struct text *others)
{
	struct wire_field field;
	int r;
	while ((r = wire_next(&message, &field)) == 1) {
		if (field.type != WIRE_BYTES)
			return -EBADMSG; /* these messages have no other */
		if (field.number != number && others)
			put(others, field.number, field.bytes);
		if (field.number != number)
			continue;
		if (array_add(&ret->list, field.bytes) < 0)
			return -ENOMEM;
		ret->bytes += size_of(field.bytes);
	}
	return r < 0 || !others || !others->failed ? r : -ENOMEM;
}

/* How many of them, at least one and not all, make half of the bytes. */
static size_t half_of(const struct members *members)
{
	size_t count = 1, bytes = size_of(members->list.items[0]);
	while (count < members->list.count - 1 &&
	       bytes + size_of(members->list.items[count]) / 2 < members->bytes / 2)
		bytes += size_of(members->list.items[count++]);
	return count;
}

/* ---- Events ------------------------------------------------------------------------------------ */

static uint64_t count_in_sample(struct wire_reader sample)
{
	struct wire_field field;
	uint64_t events = 0;
	while (wire_next(&sample, &field) == 1)
		if (field.number == SAMPLE_PROFILE && field.type == WIRE_BYTES)
			events += pprof_count_events(field.bytes.next, size_of(field.bytes));
	return events;
}

static uint64_t count_in_series(struct wire_reader series)
{
	struct wire_field field;
	uint64_t events = 0;
	while (wire_next(&series, &field) == 1)
		if (field.number == SERIES_SAMPLES && field.type == WIRE_BYTES)
			events += count_in_sample(field.bytes);
	return events;
}

/* ---- Halves ------------------------------------------------------------------------------------ */

static void split_list(const struct members *members, uint32_t number, const struct text *others,
		       uint64_t (*count)(struct wire_reader), struct pprof_half ret[2])
{
	size_t first = half_of(members);
	for (size_t i = 0; i < members->list.count; i++) {
		struct pprof_half *half = &ret[i >= first];
		if (others && (i == 0 || i == first))
			text_add_bytes(&half->bytes, others->bytes, others->length);
		put(&half->bytes, number, members->list.items[i]);
		half->events += count(members->list.items[i]);
	}
}

/* Same id, same part: same new id. RFC 9562, version 8: made of bytes by a rule of one's own. */
static void make_id(struct wire_reader old, unsigned part, char id[ID_TEXT_BYTES])
{
	uint64_t high = part + 1, low;
	for (const uint8_t *p = old.next; p < old.end; p++)
		high = hash_mix(high ^ *p) + *p;
	low = hash_mix(high + 1);
	snprintf(id, ID_TEXT_BYTES, "%08x-%04x-8%03x-%04x-%012llx", (unsigned)(high >> 32),
		 (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xfff),
		 (unsigned)(0x8000 | (low >> 48 & 0x3fff)), (unsigned long long)(low & 0xffffffffffffULL));
}

static void put_half(const struct pprof_half *half, struct wire_reader id, unsigned part, struct text *out)
{
	char new_id[ID_TEXT_BYTES];
	make_id(id, part, new_id);
	wire_put_text(out, SAMPLE_PROFILE, &half->bytes);
	wire_put_bytes(out, SAMPLE_ID, new_id, ID_TEXT_BYTES - 1);
}

static int split_sample(struct wire_reader sample, const struct text *labels, struct pprof_half ret[2])
{
	struct wire_reader profile = {0}, id = {0};
	struct wire_field field;
	int r;
	while ((r = wire_next(&sample, &field)) == 1)
		if (field.type == WIRE_BYTES)
			*(field.number == SAMPLE_PROFILE ? &profile : &id) = field.bytes;
	struct pprof_half halves[2] = {0};
	if (r == 0)
		r = profile.next ? pprof_split(profile.next, size_of(profile), pprof_count_events(profile.next, size_of(profile)),
				halves) : -EBADMSG;
	for (unsigned i = 0; r == 0 && i < 2; i++) {
		_cleanup_(text_free) struct text part = {0};
		put_half(&halves[i], id, i, &part);
		text_add_bytes(&ret[i].bytes, labels->bytes, labels->length);
		wire_put_text(&ret[i].bytes, SERIES_SAMPLES, &part);
		ret[i].events = halves[i].events;
	}
	text_free(&halves[0].bytes);
	text_free(&halves[1].bytes);
	return r;
}

/* `ret` gets series, not yet requests. */
static int split_series(struct wire_reader series, struct pprof_half ret[2])
{
	_cleanup_(text_free) struct text labels = {0};
	struct members samples = {0};
	int r = find_members(series, SERIES_SAMPLES, &samples, &labels);
	if (r == 0 && samples.list.count > 1)
		split_list(&samples, SERIES_SAMPLES, &labels, count_in_sample, ret);
	else if (r == 0)
		r = samples.list.count ? split_sample(samples.list.items[0], &labels, ret) : -E2BIG;
	array_free(&samples.list);
	return r;
}

static void wrap_series(struct pprof_half halves[2])
{
	for (int i = 0; i < 2; i++) {
		struct text series = halves[i].bytes;
		halves[i].bytes = (struct text){0};
		wire_put_text(&halves[i].bytes, REQUEST_SERIES, &series);
		text_free(&series);
	}
}

int pyroscope_split(const void *bytes, size_t size, uint64_t samples, struct pprof_half ret[2])
{
	struct members series = {0};
	ret[0] = ret[1] = (struct pprof_half){0};
	int r = find_members(reader_of(bytes, size), REQUEST_SERIES, &series, NULL);
	if (r == 0 && series.list.count > 1)
		split_list(&series, REQUEST_SERIES, NULL, count_in_series, ret);
	else if (r == 0)
		r = series.list.count ? split_series(series.list.items[0], ret) : -E2BIG;
	if (r == 0 && series.list.count == 1)
		wrap_series(ret);
	array_free(&series.list);
	if (r == 0 && (ret[0].bytes.failed || ret[1].bytes.failed))
		r = -ENOMEM;
	for (int i = 0; r < 0 && i < 2; i++)
		text_free(&ret[i].bytes);
	pprof_share_events(samples, ret);
	return r;
}
