/* SPDX-License-Identifier: Apache-2.0 */
/* A profile in the form that each exporter sends. */
#pragma once

#include "export/exporter.h"
#include "profile/profile.h"
#include "service/configuration.h"

/* What was encoded of one profile; made once for all exporters that send the same. Zero-initialise the
 * rest; free with encoding_free(). */
struct encoding {
	const struct configuration *configuration;
	const struct profile *profile;
	struct text pprof;
	uint64_t samples; /* in `pprof` */
};

enum payload_kind payload_kind_of(enum exporter_type type);

/* Hands the profile to the exporter's queue. Returns 0 or -errno. */
int encode_for(struct encoding *encoding, const struct exporter_configuration *c,
	       struct exporter *exporter);
void encoding_free(struct encoding *encoding);
