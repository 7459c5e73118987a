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

static int add_pprof(struct encoding *e, struct exporter *exporter)
{
	if (!e->pprof.length) {
		int r = pprof_encode(e->profile, PPROF_RAW, &e->pprof);
		if (r < 0)
			return r;
		e->samples = count_samples(e->profile);
	}
	struct payload payload = {
		.kind = PAYLOAD_PPROF,
		.bytes = e->pprof.bytes,
		.size = e->pprof.length,
		.samples = e->samples,
		.start_ns = e->profile->time_ns,
		.end_ns = e->profile->time_ns + e->profile->duration_ns,
	};
	return exporter_add(exporter, &payload);
}

static int add_message(void *userdata, const struct otlp_message *message)
{
	struct payload payload = {
		.kind = PAYLOAD_OTLP,
		.bytes = message->bytes,
		.size = message->size,
		.samples = message->samples,
		.start_ns = message->start_ns,
		.end_ns = message->end_ns,
	};
	return exporter_add(userdata, &payload);
}

static int add_otlp(struct encoding *e, const struct exporter_configuration *c,
		    struct exporter *exporter)
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
	};
	struct otlp_statistics statistics = {0};
	int r = otlp_encode(e->profile, &options, add_message, exporter, &statistics);
	if (statistics.too_large)
		log_warning("exporter %s: %llu samples are larger than a message may be and are lost",
			    c->name, (unsigned long long)statistics.too_large);
	return r;
}

int encode_for(struct encoding *e, const struct exporter_configuration *c, struct exporter *exporter)
{
	return payload_kind_of(c->type) == PAYLOAD_PPROF ? add_pprof(e, exporter)
							 : add_otlp(e, c, exporter);
}

void encoding_free(struct encoding *e)
{
	text_free(&e->pprof);
}
