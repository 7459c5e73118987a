/* SPDX-License-Identifier: Apache-2.0 */
/* See exporters_encode.h. */
#include "service/exporters_encode.h"

#include "base/log.h"
#include "base/text.h"
#include "format/otlp.h"
#include "format/pprof.h"
#include "format/pyroscope.h"
#include "profile/part.h"

#include <errno.h>

enum payload_kind payload_kind_of(enum exporter_type type)
{
	switch (type) {
	case EXPORTER_OTLP_GRPC:
	case EXPORTER_OTLP_HTTP:
		return PAYLOAD_OTLP;
	case EXPORTER_PYROSCOPE_PUSH:
		return PAYLOAD_PYROSCOPE;
	default:
		return PAYLOAD_PPROF;
	}
}

static bool is_pyroscope(enum exporter_type type)
{
	return type == EXPORTER_PYROSCOPE_INGEST || type == EXPORTER_PYROSCOPE_PUSH;
}

static enum otlp_grouping grouping_of(const struct exporter_configuration *c)
{
	switch (c->grouping) {
	case GROUPING_PROCESS:
		return OTLP_BY_PROCESS;
	case GROUPING_CONTAINER:
		return OTLP_BY_CONTAINER;
	case GROUPING_HOST:
		return OTLP_BY_HOST;
	default:
		return is_pyroscope(c->type) ? OTLP_BY_CONTAINER : OTLP_BY_PROCESS;
	}
}

static bool has_sample_attributes(const struct exporter_configuration *c)
{
	return c->sample_attributes == ATTRIBUTES_ALL ||
	       (c->sample_attributes == ATTRIBUTES_AUTO && !is_pyroscope(c->type));
}

static enum payload_kind pprof_kind(enum profile_kind kind)
{
	static const enum payload_kind kinds[] = {[PROFILE_KIND_CPU] = PAYLOAD_PPROF,
						  [PROFILE_KIND_GROWTH] = PAYLOAD_PPROF_GROWTH,
						  [PROFILE_KIND_HEAP] = PAYLOAD_PPROF_HEAP};
	return kinds[kind];
}

/* Where events are not counted, each place is one. */
static uint64_t count_samples(const struct profile *profile)
{
	int value = profile_find_sample_type(profile, "samples");
	uint64_t count = value < 0 ? profile->samples.count : 0;
	for (size_t i = 0; value >= 0 && i < profile->samples.count; i++)
		count += (uint64_t)profile->values.items[i * profile->sample_types.count +
							 (size_t)value];
	return count;
}

/* A part of the payload, whose bytes it takes. */
static struct payload half_of(const struct payload *payload, struct text *bytes, uint64_t samples)
{
	struct payload half = *payload;
	half.size = bytes->length;
	half.bytes = text_take(bytes);
	half.samples = samples;
	return half;
}

static int split_otlp(const struct payload *payload, struct payload halves[2])
{
	struct otlp_half parts[2];
	int r = otlp_split(payload->bytes, payload->size, payload->samples, parts);
	for (int i = 0; r == 0 && i < 2; i++)
		halves[i] = half_of(payload, &parts[i].bytes, parts[i].samples);
	return r;
}

static int split_pprof(const struct payload *payload, struct payload halves[2])
{
	struct pprof_half parts[2];
	int r = payload->kind == PAYLOAD_PYROSCOPE
			? pyroscope_split(payload->bytes, payload->size, payload->samples, parts)
			: pprof_split(payload->bytes, payload->size, payload->samples, parts);
	for (int i = 0; r == 0 && i < 2; i++)
		halves[i] = half_of(payload, &parts[i].bytes, parts[i].events);
	return r;
}

int split_payload(const struct payload *payload, struct payload halves[2])
{
	return payload->kind == PAYLOAD_OTLP ? split_otlp(payload, halves) : split_pprof(payload, halves);
}

/* As Pyroscope wants it: pyroscope.h. */
static int encode_without_labels(const struct profile *profile, struct text *out)
{
	size_t count = profile->samples.count;
	struct profile *part = NULL;
	_cleanup_free_ uint32_t *all = malloc((count + 1) * sizeof(*all));
	for (uint32_t i = 0; all && i < count; i++)
		all[i] = i;
	int r = all ? profile_part(profile, all, count, PART_WITH_SPANS, &part) : -ENOMEM;
	if (r == 0)
		r = pprof_encode(part, PPROF_RAW, out);
	profile_free(part);
	return r;
}

static int add_pprof(struct encoding *e, const struct exporter_configuration *c,
		     struct exporter *exporter, uint64_t *ret_samples)
{
	bool labels = c->type == EXPORTER_PPROF_DIRECTORY || has_sample_attributes(c);
	struct text *pprof = labels ? &e->pprof : &e->unlabelled;
	if (!pprof->length) {
		int r = labels ? pprof_encode(e->profile, PPROF_RAW, pprof)
			       : encode_without_labels(e->profile, pprof);
		if (r < 0)
			return r;
	}
	struct payload payload = {
		.kind = pprof_kind(e->kind),
		.bytes = pprof->bytes,
		.size = pprof->length,
		.samples = e->samples,
		.start_ns = e->profile->time_ns,
		.end_ns = e->profile->time_ns + e->profile->duration_ns,
	};
	*ret_samples = e->samples;
	return exporter_add(exporter, &payload);
}

struct destination {
	struct exporter *exporter;
	const struct profile *profile;
	uint64_t samples; /* it got, or has counted as dropped */
};

static int add_message(void *userdata, const struct otlp_message *message)
{
	struct destination *destination = userdata;
	struct payload payload = {
		.kind = PAYLOAD_OTLP,
		.bytes = message->bytes,
		.size = message->size,
		.samples = message->samples,
		.start_ns = message->start_ns,
		.end_ns = message->end_ns,
	};
	destination->samples += payload.samples;
	return exporter_add(destination->exporter, &payload);
}

/* A backend that takes less than usual said so when it refused. */
static size_t size_limit(struct exporter *exporter, size_t usual)
{
	uint64_t learned = exporter_size_limit(exporter);
	return learned ? (size_t)MIN_OF(learned, (uint64_t)usual) : usual;
}

/* What the configuration says of every resource. NULL: out of memory. */
static struct otlp_attribute *configured_attributes(const struct configuration *configuration)
{
	const struct sink_pairs *pairs = &configuration->resource_attributes;
	struct otlp_attribute *attributes = calloc(MAX_OF(pairs->count, 1u), sizeof(*attributes));
	for (size_t i = 0; attributes && i < pairs->count; i++)
		attributes[i] = (struct otlp_attribute){.key = pairs->items[i].name,
							.text = pairs->items[i].value};
	return attributes;
}

static int add_otlp(struct encoding *e, const struct exporter_configuration *c,
		    struct exporter *exporter, uint64_t *ret_samples)
{
	_cleanup_free_ struct otlp_attribute *attributes = configured_attributes(e->configuration);
	if (!attributes)
		return -ENOMEM;
	struct otlp_options options = {
		.shape = c->shape,
		.sample_type = c->sample_type,
		.grouping = grouping_of(c),
		.sample_attributes = has_sample_attributes(c) ? OTLP_ALL_ATTRIBUTES : 0,
		.attributes = attributes,
		.attribute_count = e->configuration->resource_attributes.count,
		.size_limit = size_limit(exporter, OTLP_SIZE_LIMIT),
	};
	struct otlp_statistics statistics = {0};
	struct destination destination = {.exporter = exporter};
	int r = otlp_encode(e->profile, &options, add_message, &destination, &statistics);
	if (statistics.too_large)
		log_warning("exporter %s: %llu samples are larger than a message may be and are lost",
			    c->name, (unsigned long long)statistics.too_large);
	exporter_lose(exporter, statistics.too_large, DROP_TOO_LARGE);
	*ret_samples = destination.samples + statistics.too_large;
	return r;
}

static int add_request(void *userdata, const struct pyroscope_message *message)
{
	struct destination *destination = userdata;
	struct payload payload = {
		.kind = PAYLOAD_PYROSCOPE,
		.bytes = message->bytes,
		.size = message->size,
		.samples = message->samples,
		.start_ns = destination->profile->time_ns,
		.end_ns = destination->profile->time_ns + destination->profile->duration_ns,
	};
	destination->samples += payload.samples;
	return exporter_add(destination->exporter, &payload);
}

static int add_pyroscope(struct encoding *e, const struct exporter_configuration *c,
			 struct exporter *exporter, uint64_t *ret_samples)
{
	const struct sink_pairs *pairs = &c->sink.labels;
	_cleanup_free_ struct otlp_attribute *attributes = configured_attributes(e->configuration);
	_cleanup_free_ struct pyroscope_label *labels =
		calloc(MAX_OF(pairs->count, 1u), sizeof(*labels));
	if (!attributes || !labels)
		return -ENOMEM;
	for (size_t i = 0; i < pairs->count; i++)
		labels[i] = (struct pyroscope_label){pairs->items[i].name, pairs->items[i].value};
	struct pyroscope_options options = {
		.profile_name = e->kind == PROFILE_KIND_CPU ? "process_cpu" : "memory",
		.application = c->sink.application,
		.grouping = grouping_of(c),
		.thread_names = has_sample_attributes(c),
		.labels = labels,
		.label_count = pairs->count,
		.attributes = attributes,
		.attribute_count = e->configuration->resource_attributes.count,
		.size_limit = size_limit(exporter, PYROSCOPE_SIZE_LIMIT),
	};
	struct destination destination = {.exporter = exporter, .profile = e->profile};
	int r = pyroscope_encode(e->profile, &options, add_request, &destination);
	*ret_samples = destination.samples;
	return r;
}

uint64_t encoding_samples(struct encoding *e)
{
	if (!e->is_counted)
		e->samples = count_samples(e->profile);
	e->is_counted = true;
	return e->samples;
}

int encode_for(struct encoding *e, const struct exporter_configuration *c, struct exporter *exporter)
{
	uint64_t added = 0;
	encoding_samples(e);
	enum payload_kind kind = payload_kind_of(c->type);
	int r = kind == PAYLOAD_PPROF	     ? add_pprof(e, c, exporter, &added)
		: kind == PAYLOAD_PYROSCOPE ? add_pyroscope(e, c, exporter, &added)
					    : add_otlp(e, c, exporter, &added);
	if (added < e->samples)
		exporter_lose(exporter, e->samples - added, DROP_MEMORY);
	return r;
}

void encoding_free(struct encoding *e)
{
	text_free(&e->pprof);
	text_free(&e->unlabelled);
}
