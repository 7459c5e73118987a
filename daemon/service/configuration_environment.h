/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings from the environment and from --set. Every key of the table has a variable: sampling.frequency
 * is BOLOMETER_SAMPLING_FREQUENCY. Lists are separated by commas. An empty variable is as good as none.
 *
 * The variables of OpenTelemetry: opentelemetry.io/docs/specs/otel/protocol/exporter and
 * …/configuration/sdk-environment-variables. OTEL_EXPORTER_OTLP_PROFILES_X comes before
 * OTEL_EXPORTER_OTLP_X.
 */
#pragma once

#include "service/configuration.h"

/* Each returns 0 (with or without problems) or -ENOMEM. */
int configuration_read_environment(const char *const *environment,
				   struct configuration *configuration,
				   struct configuration_problems *problems);
int configuration_read_sets(const char *const *sets, struct configuration *configuration,
			    struct configuration_problems *problems);

/* OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME; and an exporter from OTEL_EXPORTER_OTLP_* where there
 * is none yet. */
int configuration_read_opentelemetry(const char *const *environment,
				     struct configuration *configuration,
				     struct configuration_problems *problems);

/* The value of the variable, NULL when it is not there or empty. */
const char *environment_get(const char *const *environment, const char *name);
