/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sinks that send over HTTP. Each owns its connection and a copy of its options; none connects
 * before the first send(), so that a backend that is away does not keep the daemon from starting.
 */
#pragma once

#include "export/sink.h"
#include "export/sink_options.h"

/* The version of the profiles schema that is sent; goes with every OTLP request. */
#define OTLP_PROFILES_DEVELOPMENT_VERSION "1"

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
