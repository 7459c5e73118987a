/* SPDX-License-Identifier: Apache-2.0 */
/* A profile in the form that each exporter sends. */
#pragma once

#include "export/exporter.h"
#include "profile/profile.h"
#include "profile/profile_kind.h"
#include "service/configuration.h"

/* What was encoded of one profile; made once for all exporters that send the same. Zero-initialise the
 * rest; free with encoding_free(). */
struct encoding {
	const struct configuration *configuration;
	const struct profile *profile;
	enum profile_kind kind;
	struct text pprof, unlabelled;
	uint64_t samples; /* in the profile, when they are counted */
	bool is_counted;
};

/* Is an exporter_split: OTLP is cut in two, nothing else can be. */
int split_payload(const struct payload *payload, struct payload halves[2]);

enum payload_kind payload_kind_of(enum exporter_type type);

/* Events in the profile. */
uint64_t encoding_samples(struct encoding *encoding);

/* Hands the profile to the exporter's queue. What cannot be made into a payload is counted there as
 * dropped. Returns 0 or -errno. */
int encode_for(struct encoding *encoding, const struct exporter_configuration *c,
	       struct exporter *exporter);
void encoding_free(struct encoding *encoding);
