/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sinks that send over HTTP. Each owns its connection and a copy of its options; none connects
 * before the first send(), so that a backend that is away does not keep the daemon from starting.
 */
#pragma once

#include "export/sink.h"
#include "export/sink_options.h"
#include "format/otlp.h"

/* The version of the schema that the encoder writes goes with every OTLP request. */
#define OTLP_VERSION_HEADER \
	"OTLP-Profiles-Development-Version: " AS_TEXT(OTLP_PROFILES_DEVELOPMENT_VERSION)
#define AS_TEXT(number) AS_TEXT_UNEXPANDED(number)
#define AS_TEXT_UNEXPANDED(number) #number

/* Makes the sink of options->protocol. Returns 0, -ENOMEM, or -EINVAL with `problem` naming what is
 * wrong in the options, fit for "destination NAME: …". */
int sink_new(const struct sink_options *options, struct sink **ret, char *problem, size_t size);

/* The same for one protocol. */
int sink_new_otlp_http(const struct sink_options *options, struct sink **ret, char *problem,
		       size_t size);
int sink_new_otlp_grpc(const struct sink_options *options, struct sink **ret, char *problem,
		       size_t size);
int sink_new_pyroscope(const struct sink_options *options, struct sink **ret, char *problem,
		       size_t size);
