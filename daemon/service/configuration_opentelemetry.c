/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the meaning of OpenTelemetry's variables; see configuration_environment.h. */
#include "base/clock.h"
#include "service/configuration_environment.h"
#include "service/setting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GENERIC "OTEL_EXPORTER_OTLP_"
#define PROFILES "OTEL_EXPORTER_OTLP_PROFILES_"
#define DEFAULT_TIMEOUT_NS (10 * NS_PER_SECOND)

static const char *const suffixes[] = {"ENDPOINT",    "PROTOCOL",   "HEADERS",
				       "COMPRESSION", "TIMEOUT",    "CERTIFICATE",
				       "CLIENT_KEY",  "CLIENT_CERTIFICATE", "INSECURE"};

struct variables {
	const char *const *environment;
	struct configuration_problems *problems;
};

/* The variable of the signal, or else the generic one; its name goes to `name`. */
static const char *get(const struct variables *v, const char *suffix, char name[64])
{
	snprintf(name, 64, PROFILES "%s", suffix);
	const char *value = environment_get(v->environment, name);
	if (value)
		return value;
	snprintf(name, 64, GENERIC "%s", suffix);
	return environment_get(v->environment, name);
}

static void complain(const struct variables *v, const char *name, const char *what)
{
	char source[96];
	snprintf(source, sizeof(source), "environment variable %s", name);
	problem_add(v->problems, &(struct setting_origin){.source = source}, NULL, "%s", what);
}

/* ---- Resource ------------------------------------------------------------------------------------- */

static int set_pair(struct sink_pairs *pairs, const char *name, const char *value)
{
	for (size_t i = 0; i < pairs->count; i++) {
		if (strcmp(pairs->items[i].name, name) != 0)
			continue;
		char *copy = strdup(value);
		if (!copy)
			return -ENOMEM;
		free(pairs->items[i].value);
		pairs->items[i].value = copy;
		return 0;
	}
	return sink_pairs_add(pairs, name, value);
}

static int read_resource(const struct variables *v, struct sink_pairs *attributes)
{
	struct sink_pairs given = {0};
	struct text problem = {0};
	const char *value = environment_get(v->environment, "OTEL_RESOURCE_ATTRIBUTES");
	int r = value ? setting_parse_pairs(value, &given, &problem) : 0;
	if (r == -EINVAL) {
		/* The specification: a value that does not decode is discarded as a whole. A person
		 * who starts a daemon wants to hear of it. */
		complain(v, "OTEL_RESOURCE_ATTRIBUTES", problem.bytes ? problem.bytes : "wrong");
		r = 0;
	}
	for (size_t i = 0; i < given.count && r == 0; i++)
		r = set_pair(attributes, given.items[i].name, given.items[i].value);
	value = environment_get(v->environment, "OTEL_SERVICE_NAME");
	if (value && r == 0)
		r = set_pair(attributes, "service.name", value);
	setting_free_pairs(&given);
	text_free(&problem);
	return r;
}

/* ---- Exporter ------------------------------------------------------------------------------------- */

static void read_protocol(const struct variables *v, struct exporter_configuration *exporter)
{
	char name[64];
	const char *value = get(v, "PROTOCOL", name);
	exporter->type = EXPORTER_OTLP_HTTP;
	if (value && strcmp(value, "grpc") == 0)
		exporter->type = EXPORTER_OTLP_GRPC;
	else if (value && strcmp(value, "http/protobuf") != 0)
		complain(v, name, "not grpc or http/protobuf (http/json is not supported)");
}

static int set_text(char **field, const char *value)
{
	if (!value)
		return 0;
	char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int read_endpoint(const struct variables *v, struct exporter_configuration *exporter)
{
	char name[64];
	bool grpc = exporter->type == EXPORTER_OTLP_GRPC;
	const char *value = get(v, "ENDPOINT", name);
	/* A signal's own endpoint is the whole URL. */
	exporter->sink.endpoint_is_exact =
		value && !grpc && strncmp(name, PROFILES, strlen(PROFILES)) == 0;
	if (!value)
		value = grpc ? "http://localhost:4317" : "http://localhost:4318";
	int r = set_text(&exporter->sink.endpoint, value);
	return r < 0 ? r : set_text(&exporter->name, "otlp");
}

static void read_choices(const struct variables *v, struct exporter_configuration *exporter)
{
	char name[64];
	uint64_t ms;
	const char *value = get(v, "COMPRESSION", name);
	if (value && strcmp(value, "none") == 0)
		exporter->sink.compression = SINK_UNCOMPRESSED;
	else if (value && strcmp(value, "zstd") == 0)
		exporter->sink.compression = SINK_ZSTD;
	else if (value && strcmp(value, "gzip") != 0)
		complain(v, name, "not gzip, zstd or none");
	value = get(v, "TIMEOUT", name);
	if (value && text_parse_u64(value, 1, 600000, &ms) < 0)
		complain(v, name, "not a whole number of milliseconds from 1 to 600000");
	else
		exporter->sink.timeout_ns = value ? ms * NS_PER_MS : DEFAULT_TIMEOUT_NS;
	value = get(v, "INSECURE", name);
	if (value && strcasecmp(value, "true") != 0 && strcasecmp(value, "false") != 0)
		complain(v, name, "not true or false");
	else
		exporter->sink.plain = exporter->type == EXPORTER_OTLP_GRPC && value &&
				       strcasecmp(value, "true") == 0;
}

static int read_exporter(const struct variables *v, struct exporter_configuration *exporter)
{
	char name[64];
	struct text problem = {0};
	read_protocol(v, exporter);
	read_choices(v, exporter);
	int r = read_endpoint(v, exporter);
	if (r == 0)
		r = set_text(&exporter->sink.ca_file, get(v, "CERTIFICATE", name));
	if (r == 0)
		r = set_text(&exporter->sink.key_file, get(v, "CLIENT_KEY", name));
	if (r == 0)
		r = set_text(&exporter->sink.certificate_file, get(v, "CLIENT_CERTIFICATE", name));
	const char *headers = get(v, "HEADERS", name);
	if (headers && r == 0)
		r = setting_parse_pairs(headers, &exporter->sink.headers, &problem);
	if (r == -EINVAL) {
		complain(v, name, problem.bytes ? problem.bytes : "wrong");
		r = 0;
	}
	text_free(&problem);
	return r;
}

static bool wants_exporter(const struct variables *v)
{
	char name[64];
	for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++)
		if (get(v, suffixes[i], name))
			return true;
	return false;
}

int configuration_read_opentelemetry(const char *const *environment,
				     struct configuration *configuration,
				     struct configuration_problems *problems)
{
	struct variables v = {environment, problems};
	int r = read_resource(&v, &configuration->resource_attributes);
	if (r < 0 || configuration->exporters.count || !wants_exporter(&v))
		return r;
	struct exporter_configuration exporter = {0};
	r = settings_set_defaults(exporter_settings, &exporter);
	if (r == 0)
		r = read_exporter(&v, &exporter);
	if (r == 0)
		r = array_add(&configuration->exporters, exporter);
	if (r < 0)
		settings_free(exporter_settings, &exporter);
	return r;
}
