/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process says of itself by OpenTelemetry's two variables, OTEL_SERVICE_NAME and
 * OTEL_RESOURCE_ATTRIBUTES (specification, resource/sdk.md, "Specifying resource information via an
 * environment variable"). The rest of an environment may hold secrets: it is neither looked at nor kept.
 *
 * Attributes are kept as one text: key, NUL, value, NUL, and so on, and an empty key at the end.
 */
#pragma once

#include "base/text.h"
#include "process/proc_text.h"

#define DECLARED_MAX_ATTRIBUTES 32
#define DECLARED_MAX_BYTES 4096 /* keys and values of one process */

/* Appends what `environment`, the bytes of /proc/PID/environ, declares; nothing when it declares nothing.
 * OTEL_SERVICE_NAME wins over a service.name among the attributes. A list that does not decode is left
 * out as a whole, as the specification has it, as are attributes past the limits and those of the
 * process, the host and the telemetry library, which are known better here. */
void declared_attributes_parse(struct slice environment, struct text *ret);

/* The next attribute, or false at the end. Start with *at = the kept text. */
bool declared_attributes_next(const char **at, const char **ret_key, const char **ret_value);
