/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a profile to messages below a limit. How large a message will be is known only when its dictionary
 * is complete, so a range of items is encoded first and, when it comes out too large, cut into as many
 * parts as its size asks for. That is rare: the usual interval fits.
 */
#include "format/otlp_encoder.h"

#include "base/arithmetic.h"

#include <errno.h>
#include <string.h>

struct output {
	struct otlp_encoder *encoder;
	size_t limit;
	otlp_emit emit;
	void *userdata;
};

static uint64_t events_of(const struct otlp_item *items, size_t count)
{
	uint64_t events = 0;
	for (size_t i = 0; i < count; i++)
		events += (uint64_t)MAX_OF(items[i].count, 0);
	return events;
}

static int emit_message(struct output *out, const struct otlp_item *items, size_t count)
{
	struct otlp_encoder *e = out->encoder;
	struct otlp_message message = {
		.bytes = e->message.bytes,
		.size = e->message.length,
		.samples = events_of(items, count),
		.start_ns = e->start_ns,
		.end_ns = e->end_ns,
	};
	e->statistics->messages++;
	e->statistics->samples += message.samples;
	return out->emit(out->userdata, &message);
}

static int encode_range(struct output *out, const struct otlp_item *items, size_t count);

/* One item is too large: its times in two halves, or else it cannot be sent. */
static int encode_halves(struct output *out, const struct otlp_item *item)
{
	if (item->timestamp_count < 2) {
		out->encoder->statistics->too_large += events_of(item, 1);
		return 0;
	}
	struct otlp_item first = *item, second = *item;
	first.timestamp_count /= 2;
	first.count = first.timestamp_count;
	first.cpu_ns = (int64_t)((__int128)item->cpu_ns * first.count / item->count);
	second.first_timestamp += first.timestamp_count;
	second.timestamp_count -= first.timestamp_count;
	second.count = second.timestamp_count;
	second.cpu_ns -= first.cpu_ns;
	int r = encode_range(out, &first, 1);
	return r < 0 ? r : encode_range(out, &second, 1);
}

static int encode_range(struct output *out, const struct otlp_item *items, size_t count)
{
	struct otlp_encoder *e = out->encoder;
	int r = otlp_make_message(e, items, count);
	if (r < 0 || e->message.length == 0)
		return r;
	if (e->message.length <= out->limit)
		return emit_message(out, items, count);
	if (count == 1)
		return encode_halves(out, items);
	size_t parts = MIN_OF(count, e->message.length / out->limit + 1), done = 0;
	for (size_t i = 1; r == 0 && i <= parts; i++) {
		size_t end = count * i / parts;
		r = encode_range(out, items + done, end - done);
		done = end;
	}
	return r;
}

static int find_column(const struct profile *profile, const char *type, const char *unit)
{
	int column = profile_find_sample_type(profile, type);
	if (column < 0 ||
	    strcmp(profile_text(profile, profile->sample_types.items[column].unit), unit) != 0)
		return -1;
	return column;
}

static void find_columns(struct otlp_encoder *e)
{
	e->count_column = e->samples_column = find_column(e->profile, "samples", "count");
	e->cpu_column = find_column(e->profile, "cpu", "nanoseconds");
	if (e->count_column < 0 || e->cpu_column < 0)
		e->count_column = e->cpu_column = -1;
}

/* The profile's own time, moved so that every sample lies inside. */
static void find_times(struct otlp_encoder *e)
{
	const struct profile *profile = e->profile;
	e->start_ns = MAX_OF(profile->time_ns, 0);
	if (__builtin_add_overflow(e->start_ns, MAX_OF(profile->duration_ns, 0), &e->end_ns))
		e->end_ns = INT64_MAX;
	for (size_t i = 0; i < profile->timestamps.count; i++) {
		int64_t time = profile->timestamps.items[i];
		e->start_ns = MIN_OF(e->start_ns, time);
		e->end_ns = MAX_OF(e->end_ns, add_saturating(time, 1));
	}
}

static void encoder_release(struct otlp_encoder *e)
{
	free(e->key_classes);
	array_free(&e->groups);
	array_free(&e->group_attributes);
	strings_free(&e->group_keys);
	free(e->origins);
	array_free(&e->origin_attributes);
	array_free(&e->origin);
	array_free(&e->items);
	otlp_dictionary_free(&e->dictionary);
	strings_free(&e->sample_keys);
	array_free(&e->key);
	array_free(&e->slots);
	array_free(&e->next_item);
	array_free(&e->timestamps);
	text_free(&e->message);
	text_free(&e->profile_message);
	text_free(&e->scope_message);
	text_free(&e->resource_message);
	text_free(&e->sample);
	text_free(&e->scratch);
}

int otlp_encode(const struct profile *profile, const struct otlp_options *options, otlp_emit emit,
		void *userdata, struct otlp_statistics *statistics)
{
	_cleanup_(encoder_release) struct otlp_encoder encoder = {
		.profile = profile, .options = options, .statistics = statistics};
	struct output output = {
		.encoder = &encoder,
		.limit = options->size_limit ? options->size_limit : OTLP_SIZE_LIMIT,
		.emit = emit,
		.userdata = userdata,
	};
	*statistics = (struct otlp_statistics){0};
	if (profile->sample_types.count == 0)
		return 0;
	find_columns(&encoder);
	find_times(&encoder);
	int r = otlp_make_items(&encoder);
	if (r < 0 || encoder.items.count == 0)
		return r;
	return encode_range(&output, encoder.items.items, encoder.items.count);
}
