/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a destination's endpoint to the URL its requests go to, and to a form of it that may be shown:
 * without user, password and query, which may hold credentials.
 *
 * Path rules: opentelemetry.io/docs/specs/otel/protocol/exporter.
 */
#pragma once

#include "export/sink_options.h"

/* Appends `path` ("/v1development/profiles") to the endpoint unless it is exact. A new string that the
 * caller frees goes to *ret_url. Returns 0, -ENOMEM, or -EINVAL with `problem` saying what is wrong. */
int sink_url_make(const struct sink_options *options, const char *path, char **ret_url, char *problem,
		  size_t size);

/* scheme://host:port/path, into a caller's buffer that is returned. */
const char *sink_url_shown(char *buffer, size_t size, const char *url);
