/* SPDX-License-Identifier: Apache-2.0 */
/* See exporters_encode.h. */
#include "service/exporters_encode.h"

#include "base/log.h"
#include "base/text.h"
#include "format/otlp.h"
#include "format/pprof.h"

#include <errno.h>

enum payload_kind payload_kind_of(enum exporter_type type)
{
	bool is_otlp = type == EXPORTER_OTLP_GRPC || type == EXPORTER_OTLP_HTTP;
	return is_otlp ? PAYLOAD_OTLP : PAYLOAD_PPROF;
}

static uint64_t count_samples(const struct profile *profile)
{
	int value = profile_find_sample_type(profile, "samples");
	uint64_t count = 0;
	for (size_t i = 0; value >= 0 && i < profile->samples.count; i++)
		count += (uint64_t)profile->values.items[i * profile->sample_types.count +
							 (size_t)value];
	return count;
}

int split_payload(const struct payload *payload, struct payload halves[2])
{
	struct otlp_half parts[2];
	if (payload->kind != PAYLOAD_OTLP)
		return -E2BIG;
	int r = otlp_split(payload->bytes, payload->size, payload->samples, parts);
	for (int i = 0; r == 0 && i < 2; i++) {
		halves[i] = *payload;
		halves[i].size = parts[i].bytes.length;
		halves[i].bytes = text_take(&parts[i].bytes);
		halves[i].samples = parts[i].samples;
	}
	return r;
}

static int add_pprof(struct encoding *e, struct exporter *exporter, uint64_t *ret_samples)
{
	if (!e->pprof.length) {
		int r = pprof_encode(e->profile, PPROF_RAW, &e->pprof);
		if (r < 0)
			return r;
	}
	struct payload payload = {
		.kind = e->kind == PROFILE_KIND_GROWTH ? PAYLOAD_PPROF_GROWTH : PAYLOAD_PPROF,
		.bytes = e->pprof.bytes,
		.size = e->pprof.length,
		.samples = e->samples,
		.start_ns = e->profile->time_ns,
		.end_ns = e->profile->time_ns + e->profile->duration_ns,
	};
	*ret_samples = e->samples;
	return exporter_add(exporter, &payload);
}

struct destination {
	struct exporter *exporter;
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
static size_t size_limit(struct exporter *exporter)
{
	uint64_t learned = exporter_size_limit(exporter);
	return learned ? (size_t)MIN_OF(learned, (uint64_t)OTLP_SIZE_LIMIT) : OTLP_SIZE_LIMIT;
}

static int add_otlp(struct encoding *e, const struct exporter_configuration *c,
		    struct exporter *exporter, uint64_t *ret_samples)
{
	const struct sink_pairs *pairs = &e->configuration->resource_attributes;
	_cleanup_free_ struct otlp_attribute *attributes =
		calloc(MAX_OF(pairs->count, 1u), sizeof(*attributes));
	if (!attributes)
		return -ENOMEM;
	for (size_t i = 0; i < pairs->count; i++)
		attributes[i] = (struct otlp_attribute){.key = pairs->items[i].name,
							.text = pairs->items[i].value};
	struct otlp_options options = {
		.shape = c->shape,
		.sample_type = c->sample_type,
		.grouping = c->grouping,
		.sample_attributes =
			c->sample_attributes == ATTRIBUTES_ALL ? OTLP_ALL_ATTRIBUTES : 0,
		.attributes = attributes,
		.attribute_count = pairs->count,
		.size_limit = size_limit(exporter),
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
	int r = payload_kind_of(c->type) == PAYLOAD_PPROF ? add_pprof(e, exporter, &added)
							  : add_otlp(e, c, exporter, &added);
	if (added < e->samples)
		exporter_lose(exporter, e->samples - added, DROP_MEMORY);
	return r;
}

void encoding_free(struct encoding *e)
{
	text_free(&e->pprof);
}
