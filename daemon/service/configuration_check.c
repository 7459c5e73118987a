/* SPDX-License-Identifier: Apache-2.0 */
/* See configuration_check.h. */
#include "service/configuration_check.h"

#include "bpf/wire.h"
#include "collect/selection.h"
#include "export/sink_url.h"
#include "format/pyroscope.h"
#include "service/http_server.h"
#include "service/setting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAME 64
#define NAME_CHARACTERS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

struct check {
	const char *source;
	struct configuration *configuration;
	struct configuration_problems *problems;
};

/* Where the value stands; of one that is missing, the exporter or strategy, or the section. */
#define COMPLAIN(c, item, key, ...)                                                                                    \
	do {                                                                                                           \
		struct setting_origin _otherwise = {(c)->source, (item)->line, (item)->column};                        \
		struct setting_origin _origin = problem_origin((c)->problems, key, &_otherwise);                       \
		problem_add((c)->problems, &_origin, key, __VA_ARGS__);                                                \
	} while (0)

/* A pattern that nothing can match would give empty profiles, and nobody would know why. */
static void check_patterns(const struct check *c, const char *key, const struct setting_texts *patterns,
			   bool (*check)(const char *pattern, struct text *problem))
{
	static const struct exporter_configuration none, *const nowhere = &none;
	for (size_t i = 0; i < patterns->count; i++) {
		struct text problem = {0};
		if (!check(patterns->items[i], &problem))
			COMPLAIN(c, nowhere, key, "%s", problem.bytes ? problem.bytes : "matches nothing");
		text_free(&problem);
	}
}

static void check_sampling(const struct check *c)
{
	static const struct exporter_configuration none, *const nowhere = &none;
	const struct sampling_configuration *sampling = &c->configuration->sampling;
	uint64_t ring = sampling->ring_bytes;
	size_t cgroups = c->configuration->selection.cgroups.count;
	if (ring & (ring - 1))
		COMPLAIN(c, nowhere, "sampling.ring", "not a power of two");
	if (sampling->trace_labels && !(sampling->labels && sampling->trace_contexts))
		COMPLAIN(c, nowhere, "sampling.trace_labels",
			 "means nothing without sampling.labels and sampling.trace_contexts");
	if (cgroups > MAX_SELECTED_CGROUPS)
		COMPLAIN(c, nowhere, "selection.cgroup", "%zu groups, at most %d can be told apart",
			 cgroups, MAX_SELECTED_CGROUPS);
	check_patterns(c, "selection.comm", &c->configuration->selection.comms, selection_check_comm);
	check_patterns(c, "selection.exe", &c->configuration->selection.executables,
		       selection_check_executable);
}

static void check_http(const struct check *c)
{
	static const struct exporter_configuration none, *const nowhere = &none;
	const struct http_configuration *http = &c->configuration->http;
	const char *mode = http->socket_mode ? http->socket_mode : "";
	size_t digits = strspn(mode, "01234567");
	if (digits == 0 || digits > 4 || mode[digits] || strtoul(mode, NULL, 8) > 0777)
		COMPLAIN(c, nowhere, "http.socket_mode", "octal digits from 0 to 0777 are wanted");
	if (http->socket && http->socket[0] != '/')
		COMPLAIN(c, nowhere, "http.socket", "an absolute path is needed");
	if (http->address && !http->token_file)
		COMPLAIN(c, nowhere, "http.token_file",
			 "missing: over http.address everybody on the network could ask");
	if (http->token_file && !http->address)
		COMPLAIN(c, nowhere, "http.token_file", "means nothing without http.address");
	if (http->address && !http_address_is_valid(http->address))
		COMPLAIN(c, nowhere, "http.address", "ADDRESS:PORT is wanted, as 127.0.0.1:7070");
	if (http->health_address && !http_address_is_valid(http->health_address))
		COMPLAIN(c, nowhere, "http.health_address",
			 "ADDRESS:PORT is wanted, as 127.0.0.1:7071");
}

/* The name becomes that of a directory. */
static void check_name(const struct check *c, const struct exporter_configuration *exporter,
		       size_t index)
{
	char key[64];
	const char *name = exporter->name;
	snprintf(key, sizeof(key), "exporters[%zu].name", index);
	if (strlen(name) > MAX_NAME || name[0] == '.' || name[strspn(name, NAME_CHARACTERS)])
		COMPLAIN(c, exporter, key,
			 "a name of letters, digits, '-', '_' and '.' is needed, at most %d",
			 MAX_NAME);
	for (size_t i = 0; i < index; i++)
		if (c->configuration->exporters.items[i].name &&
		    strcmp(c->configuration->exporters.items[i].name, name) == 0)
			COMPLAIN(c, exporter, key,
				 "a second exporter named %s; give each a name of its own", name);
}

static bool is_pyroscope(enum exporter_type type)
{
	return type == EXPORTER_PYROSCOPE_INGEST || type == EXPORTER_PYROSCOPE_PUSH;
}

/* A setting that means nothing for the type was meant for something: it is not passed over. */
static void refuse_stray(const struct check *c, const struct exporter_configuration *exporter,
			 const char *place)
{
	static const char *const network[] = {
		"endpoint", "headers",	       "bearer_token_file",
		"proxy",    "basic_auth.user", "basic_auth.password_file",
		"tls.ca",   "tls.certificate", "tls.key"};
	static const char *const of_pyroscope[] = {"application", "labels"};
	const struct exporter_configuration empty = {0};
	char key[96];
	bool is_directory = exporter->type == EXPORTER_PPROF_DIRECTORY;
	for (size_t i = 0; is_directory && i < ARRAY_LENGTH(network); i++) {
		snprintf(key, sizeof(key), "%s%s", place, network[i]);
		if (!setting_equal(setting_find(exporter_settings, network[i]), exporter, &empty))
			COMPLAIN(c, exporter, key, "means nothing for a directory");
	}
	for (size_t i = 0; !is_pyroscope(exporter->type) && i < ARRAY_LENGTH(of_pyroscope); i++) {
		snprintf(key, sizeof(key), "%s%s", place, of_pyroscope[i]);
		if (!setting_equal(setting_find(exporter_settings, of_pyroscope[i]), exporter,
				   &empty))
			COMPLAIN(c, exporter, key, "means nothing outside Pyroscope");
	}
	snprintf(key, sizeof(key), "%sdirectory", place);
	if (!is_directory && exporter->directory)
		COMPLAIN(c, exporter, key, "only a pprof-directory has a directory");
}

static void check_destination(const struct check *c, struct exporter_configuration *exporter,
			      const char *place)
{
	char key[96], item[64], problem[256];
	snprintf(item, sizeof(item), "%.*s", (int)strlen(place) - 1, place); /* without the dot */
	snprintf(key, sizeof(key), "%s%s", place,
		 exporter->type == EXPORTER_PPROF_DIRECTORY ? "directory" : "endpoint");
	refuse_stray(c, exporter, place);
	if (exporter->type == EXPORTER_PPROF_DIRECTORY) {
		if (!exporter->directory || exporter->directory[0] != '/')
			COMPLAIN(c, exporter, key, "an absolute path is needed");
		return;
	}
	exporter->sink.protocol = (enum sink_protocol)exporter->type;
	_cleanup_free_ char *url = NULL;
	if (!exporter->sink.endpoint)
		COMPLAIN(c, exporter, key, "missing");
	else if (sink_url_make(&exporter->sink, "/", &url, problem, sizeof(problem)) < 0)
		COMPLAIN(c, exporter, key, "%s", problem);
	else if (sink_options_check(&exporter->sink, problem, sizeof(problem)) < 0)
		COMPLAIN(c, exporter, item, "%s", problem);
}

static int check_exporter(const struct check *c, size_t index)
{
	struct exporter_configuration *exporter = &c->configuration->exporters.items[index];
	char place[40], key[64];
	snprintf(place, sizeof(place), "exporters[%zu].", index);
	if (!exporter->type) {
		struct text types = {0};
		snprintf(key, sizeof(key), "%stype", place);
		if (problem_is_told(c->problems, key))
			return 0;
		setting_write_range(setting_find(exporter_settings, "type"), &types);
		COMPLAIN(c, exporter, key, "missing, wanted %s",
			 types.bytes ? types.bytes : "a type");
		text_free(&types);
		return 0;
	}
	if (!exporter->name) {
		struct text type = {0};
		setting_write(setting_find(exporter_settings, "type"), exporter, &type);
		exporter->name = text_take(&type);
		if (!exporter->name)
			return -ENOMEM;
	}
	check_name(c, exporter, index);
	check_destination(c, exporter, place);
	return 0;
}

/* What a strategy cannot do without is there, and nothing that means nothing to it. */
static void check_strategy_values(const struct check *c, const struct strategy_configuration *s,
				  const char *place)
{
	char key[64];
	const char *name = strategy_name(s->strategy);
	bool has_samples = s->strategy == STRATEGY_RATE || s->strategy == STRATEGY_ADAPTIVE;
	bool has_ratio = s->strategy == STRATEGY_PROBABILISTIC;
	snprintf(key, sizeof(key), "%sratio", place);
	if (has_ratio != (s->ratio_ppm != 0))
		COMPLAIN(c, s, key, has_ratio ? "missing: %s needs one" : "means nothing for %s",
				     name);
	snprintf(key, sizeof(key), "%ssamples", place);
	if (has_samples != (s->samples != 0))
		COMPLAIN(c, s, key, has_samples ? "missing: %s needs them" : "means nothing for %s",
				     name);
	snprintf(key, sizeof(key), "%sexpected_hosts", place);
	if (s->strategy != STRATEGY_ADAPTIVE && s->expected_hosts != 1)
		COMPLAIN(c, s, key, "means nothing for %s", name);
	snprintf(key, sizeof(key), "%sthen_next", place);
	if (s->strategy == STRATEGY_NEVER && s->then_next)
		COMPLAIN(c, s, key, "means nothing for %s", name);
	snprintf(key, sizeof(key), "%sevent", place);
	if (s->event == STRATEGY_OF_GROWTH && !c->configuration->memory.growth)
		COMPLAIN(c, s, key, "means nothing without memory.growth");
	if (s->event == STRATEGY_OF_HEAP && !c->configuration->memory.heap.enabled)
		COMPLAIN(c, s, key, "means nothing without memory.heap.enabled");
}

/* Which of all are taken together is a matter of what they are. */
static void check_strategy_choice(const struct check *c, const struct strategy_configuration *s, const char *place)
{
	char key[64];
	snprintf(key, sizeof(key), "%sby", place);
	if (s->strategy != STRATEGY_PROBABILISTIC && s->by != STRATEGY_BY_SAMPLE)
		COMPLAIN(c, s, key, "means nothing for %s", strategy_name(s->strategy));
	else if (s->by == STRATEGY_BY_TRACE && s->event == STRATEGY_OF_GROWTH)
		COMPLAIN(c, s, key, "samples of growth have no trace");
	else if (s->strategy == STRATEGY_PROBABILISTIC && s->event == STRATEGY_OF_HEAP &&
		 (s->by == STRATEGY_BY_SAMPLE || s->by == STRATEGY_BY_TRACE))
		COMPLAIN(c, s, key, "process or interval is needed: what a process holds is known only where all that it "
			 "frees is seen; memory.heap.interval says how many allocations are");
	else if (s->by == STRATEGY_BY_TRACE && !c->configuration->sampling.trace_contexts)
		COMPLAIN(c, s, key, "trace needs sampling.trace_contexts: true");
}

static int check_strategy(const struct check *c, size_t index)
{
	struct strategy_configuration *s = &c->configuration->strategies.items[index];
	char place[40], key[64];
	snprintf(place, sizeof(place), "strategies[%zu].", index);
	snprintf(key, sizeof(key), "%sname", place);
	if (!s->name && !(s->name = strdup(strategy_name(s->strategy))))
		return -ENOMEM;
	if (strlen(s->name) > MAX_NAME || s->name[strspn(s->name, NAME_CHARACTERS)])
		COMPLAIN(c, s, key,
				     "letters, digits, '-', '_' and '.' are needed, at most %d", MAX_NAME);
	for (size_t i = 0; i < index; i++)
		if (strcmp(c->configuration->strategies.items[i].name, s->name) == 0)
			COMPLAIN(c, s, key, "a second strategy named %s; give each a name of its own",
					     s->name);
	check_strategy_values(c, s, place);
	check_strategy_choice(c, s, place);
	return 0;
}

int configuration_check(const char *source, struct configuration *configuration,
			struct configuration_problems *problems)
{
	struct check check = {source, configuration, problems};
	int r = 0;
	check_sampling(&check);
	check_http(&check);
	for (size_t i = 0; i < configuration->strategies.count && r == 0; i++)
		r = check_strategy(&check, i);
	for (size_t i = 0; i < configuration->exporters.count && r == 0; i++)
		r = check_exporter(&check, i);
	return r;
}

/* ---- What is no mistake ------------------------------------------------------------------------------ */

static size_t count_pairs(const struct sink_pairs *pairs, const char *without)
{
	size_t count = 0;
	for (size_t i = 0; i < pairs->count; i++)
		count += strcmp(pairs->items[i].name, without) != 0;
	return count;
}

static void warn_of_file(const char *owner, const char *key, const char *path, struct text *out)
{
	if (path && access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
		text_add(out, "%s: %s: there is no file %s\n", owner, key, path);
}

/* They may come later: each is read when it is needed. */
static void warn_of_files(const struct exporter_configuration *exporter, struct text *out)
{
	const struct sink_options *sink = &exporter->sink;
	_cleanup_free_ char *owner = text_format("exporter %s", exporter->name);
	const struct {
		const char *key, *path;
	} files[] = {
		{"bearer_token_file", sink->bearer_token_file},
		{"basic_auth.password_file", sink->password_file},
		{"tls.ca", sink->ca_file},
		{"tls.certificate", sink->certificate_file},
		{"tls.key", sink->key_file},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(files) && owner; i++)
		warn_of_file(owner, files[i].key, files[i].path, out);
}

void configuration_warnings(const struct configuration *configuration, struct text *out)
{
	warn_of_file("http", "token_file", configuration->http.token_file, out);
	for (size_t i = 0; i < configuration->exporters.count; i++) {
		const struct exporter_configuration *exporter = &configuration->exporters.items[i];
		warn_of_files(exporter, out);
		size_t labels = 2 + count_pairs(&exporter->sink.labels, "service_name") +
				count_pairs(&configuration->resource_attributes, "service.name");
		if (exporter->type == EXPORTER_PYROSCOPE_PUSH && labels > PYROSCOPE_MAX_LABELS)
			text_add(out,
				 "exporter %s: a series would have %zu labels (__name__, service_name, labels, "
				 "resource.attributes) and more that are found, Pyroscope takes %d: the last ones are left out\n",
				 exporter->name, labels, PYROSCOPE_MAX_LABELS);
	}
}
