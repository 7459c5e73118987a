/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pyroscope.h. Samples are sorted by their series, and each series becomes a profile of its own.
 */
#include "format/pyroscope_labels.h"

#include "format/pprof.h"
#include "format/pyroscope_fields.h"
#include "format/wire_writer.h"
#include "profile/part.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define ID_TEXT_BYTES 37
#define NO_SERIES UINT32_MAX

struct push_encoder {
	const struct profile *profile;
	const struct pyroscope_options *options;
	size_t size_limit;
	int samples_column; /* of events; -1: the profile does not count them */
	pyroscope_emit emit;
	void *userdata;
	struct strings series;	/* the labels' bytes; index = the series' */
	uint32_t *series_of;	/* of each sample */
	uint32_t *sorted;	/* indices of samples, by series */
	struct text request;	/* what waits to be emitted */
	uint64_t samples;	/* in it */
};

/* ---- Series ---------------------------------------------------------------------------------- */

static int find_series(struct push_encoder *e, const struct profile_sample *sample, uint32_t *ret)
{
	struct text labels = {0};
	int r = pyroscope_add_labels(e->profile, e->options, sample, &labels);
	if (r == 0)
		r = strings_add(&e->series, labels.bytes ? labels.bytes : "", labels.length, ret);
	text_free(&labels);
	return r;
}

/* The labels of samples of one resource are the same, but for the threads' names. */
static int find_all_series(struct push_encoder *e)
{
	const struct profile *profile = e->profile;
	_cleanup_free_ uint32_t *known =
		malloc((profile->resources.count + 1) * sizeof(*known));
	for (size_t i = 0; known && i <= profile->resources.count; i++)
		known[i] = NO_SERIES;
	int r = known ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < profile->samples.count; i++) {
		const struct profile_sample *sample = &profile->samples.items[i];
		bool by_resource = sample->resource && !e->options->thread_names;
		e->series_of[i] = by_resource ? known[sample->resource] : NO_SERIES;
		if (e->series_of[i] == NO_SERIES)
			r = find_series(e, sample, &e->series_of[i]);
		if (by_resource)
			known[sample->resource] = e->series_of[i];
	}
	return r;
}

/* Stable. `first` gets where each series begins among the sorted. */
static int sort_samples(struct push_encoder *e, size_t *first)
{
	_cleanup_free_ size_t *next = calloc(e->series.count + 1, sizeof(*next));
	if (!next)
		return -ENOMEM;
	for (size_t i = 0; i < e->profile->samples.count; i++)
		first[e->series_of[i] + 1]++;
	for (size_t i = 0; i < e->series.count; i++)
		first[i + 1] += first[i];
	memcpy(next, first, e->series.count * sizeof(*next));
	for (size_t i = 0; i < e->profile->samples.count; i++)
		e->sorted[next[e->series_of[i]]++] = (uint32_t)i;
	return 0;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static int flush(struct push_encoder *e)
{
	if (e->request.failed)
		return -ENOMEM;
	struct pyroscope_message message = {.bytes = e->request.bytes, .size = e->request.length,
					    .samples = e->samples};
	int r = message.size ? e->emit(e->userdata, &message) : 0;
	e->request.length = 0;
	e->samples = 0;
	return r;
}

/* Not compressed: requests are, as a whole. */
static int encode_part(const struct push_encoder *e, const uint32_t *samples, size_t count,
		       struct text *out)
{
	struct profile *part = NULL;
	int r = profile_part(e->profile, samples, count, PART_WITH_SPANS, &part);
	if (r == 0)
		r = pprof_encode(part, PPROF_RAW, out);
	profile_free(part);
	return r;
}

static uint64_t count_events(const struct push_encoder *e, const uint32_t *samples, size_t count)
{
	size_t types = e->profile->sample_types.count;
	uint64_t events = 0;
	if (e->samples_column < 0)
		return count; /* as everywhere: where events are not counted, each place is one */
	for (size_t i = 0; i < count; i++)
		events += (uint64_t)e->profile->values
				  .items[samples[i] * types + (size_t)e->samples_column];
	return events;
}

/* RFC 9562, version 4. */
static int make_id(char id[ID_TEXT_BYTES])
{
	uint8_t d[16];
	if (getrandom(d, sizeof(d), 0) != sizeof(d))
		return -EIO; /* cannot be: so few bytes come whole */
	d[6] = (d[6] & 0x0f) | 0x40;
	d[8] = (d[8] & 0x3f) | 0x80;
	snprintf(id, ID_TEXT_BYTES, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12],
		 d[13], d[14], d[15]);
	return 0;
}

static int make_series(const struct push_encoder *e, uint32_t index, const struct text *pprof,
		       struct text *out)
{
	char id[ID_TEXT_BYTES];
	struct text sample = {0};
	int r = make_id(id);
	wire_put_text(&sample, SAMPLE_PROFILE, pprof);
	wire_put_bytes(&sample, SAMPLE_ID, id, strlen(id));
	text_add_bytes(out, strings_get(&e->series, index), strings_length(&e->series, index));
	wire_put_text(out, SERIES_SAMPLES, &sample);
	text_free(&sample);
	return r < 0 || !out->failed ? r : -ENOMEM;
}

static int add_series(struct push_encoder *e, uint32_t index, const struct text *pprof,
		      uint64_t events)
{
	struct text series = {0};
	int r = make_series(e, index, pprof, &series);
	if (r == 0 && e->request.length + series.length > e->size_limit)
		r = flush(e);
	if (r == 0)
		wire_put_text(&e->request, REQUEST_SERIES, &series);
	e->samples += events;
	text_free(&series);
	return r < 0 || !e->request.failed ? r : -ENOMEM;
}

/* Halves what is too large until it fits. */
static int add_samples(struct push_encoder *e, uint32_t index, const uint32_t *samples, size_t count)
{
	struct text pprof = {0};
	int r = encode_part(e, samples, count, &pprof);
	bool fits = count == 1 || (pprof.length < e->size_limit && count <= OTLP_MAX_SAMPLES);
	if (r == 0 && fits)
		r = add_series(e, index, &pprof, count_events(e, samples, count));
	text_free(&pprof);
	if (r < 0 || fits)
		return r;
	r = add_samples(e, index, samples, count / 2);
	return r < 0 ? r : add_samples(e, index, samples + count / 2, count - count / 2);
}

static int add_all(struct push_encoder *e)
{
	_cleanup_free_ size_t *first = calloc(e->series.count + 2, sizeof(*first));
	int r = first ? sort_samples(e, first) : -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < e->series.count; i++)
		r = add_samples(e, i, e->sorted + first[i], first[i + 1] - first[i]);
	return r == 0 ? flush(e) : r;
}

static void encoder_release(struct push_encoder *e)
{
	strings_free(&e->series);
	free(e->series_of);
	free(e->sorted);
	text_free(&e->request);
}

int pyroscope_encode(const struct profile *profile, const struct pyroscope_options *options,
		     pyroscope_emit emit, void *userdata)
{
	size_t count = profile->samples.count;
	_cleanup_(encoder_release) struct push_encoder e = {
		.profile = profile,
		.options = options,
		.size_limit = options->size_limit ? options->size_limit : PYROSCOPE_SIZE_LIMIT,
		.samples_column = profile_find_sample_type(profile, "samples"),
		.emit = emit,
		.userdata = userdata,
		.series_of = calloc(count + 1, sizeof(*e.series_of)),
		.sorted = calloc(count + 1, sizeof(*e.sorted)),
	};
	if (!e.series_of || !e.sorted)
		return -ENOMEM;
	int r = find_all_series(&e);
	return r == 0 ? add_all(&e) : r;
}
