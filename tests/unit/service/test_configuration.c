/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as text, environment and --set; every kind of mistake with its line and column. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "service/configuration.h"
#include "service/configuration_file.h"
#include "service/yaml_tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	struct configuration configuration;
	struct configuration_problems problems;
	struct text shown;
	int result;
};

static void load(struct fixture *f, const char *yaml, const char *const *environment,
		 const char *const *sets)
{
	char path[] = "/tmp/test_configuration.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, yaml, strlen(yaml)), 0);
	close(fd);
	struct configuration_sources sources = {path, environment, sets};
	f->result = configuration_load(&sources, &f->configuration, &f->problems);
	unlink(path);
	for (size_t i = 0; i < f->problems.count; i++) {
		struct configuration_problem *problem = &f->problems.items[i];
		bool is_file = strcmp(problem->source, path) == 0;
		text_add(&f->shown, "%s:%u:%u %s: %s\n", is_file ? "F" : problem->source,
			 problem->line, problem->column, problem->key ? problem->key : "-",
			 problem->message);
	}
}

static void release(struct fixture *f)
{
	configuration_free(&f->configuration);
	configuration_problems_free(&f->problems);
	text_free(&f->shown);
}

/* The one problem of the file. */
static void assert_problem(const char *yaml, const char *expected)
{
	struct fixture f = {0};
	char line[512];
	load(&f, yaml, NULL, NULL);
	snprintf(line, sizeof(line), "F:%s\n", expected);
	assert_string_equal(f.shown.bytes ? f.shown.bytes : "", line);
	assert_int_equal(f.result, -EINVAL);
	release(&f);
}

static void defaults_hold_for_an_empty_file(void **state)
{
	static const char *const empty[] = {"", "# nothing\n", "---\n", "sampling:\nexporters:\n"};
	for (size_t i = 0; i < ARRAY_LENGTH(empty); i++) {
		struct fixture f = {0};
		load(&f, empty[i], NULL, NULL);
		assert_int_equal(f.result, 0);
		assert_int_equal(f.configuration.sampling.frequency, 99);
		assert_int_equal(f.configuration.interval_ns, 10 * NS_PER_SECOND);
		assert_int_equal(f.configuration.sampling.mode, TICK_ALL);
		assert_int_equal(f.configuration.log_level, LOG_LEVEL_INFO);
		assert_true(f.configuration.sampling.symbolize);
		assert_null(f.configuration.cache.directory);
		release(&f);
	}
}

static void every_kind_of_value_is_read(void **state)
{
	struct fixture f = {0};
	load(&f,
	     "sampling: {frequency: 19, mode: user, inlines: no, ring: 1MiB}\n"
	     "selection:\n  comm: [nginx*, 'my worker']\n"
	     "interval: 1.5s\n"
	     "cache: {directory: \"/x/y\", size: 64 MiB}\n"
	     "resource: {attributes: {service.namespace: a b, n: 1}}\n"
	     "exporters:\n"
	     "  - {name: up, type: otlp-grpc, endpoint: 'http://h:4317', timeout: 250ms,\n"
	     "     headers: {x-org: t}, tls: {ca: /ca}, compression: zstd}\n"
	     "  - type: pprof-directory\n    directory: /d\n",
	     NULL, NULL);
	assert_string_equal(f.shown.bytes ? f.shown.bytes : "", "");
	const struct configuration *c = &f.configuration;
	assert_int_equal(c->sampling.frequency, 19);
	assert_int_equal(c->sampling.mode, TICK_USER);
	assert_false(c->sampling.inlines);
	assert_int_equal(c->sampling.ring_bytes, 1 << 20);
	assert_int_equal(c->selection.comms.count, 2);
	assert_string_equal(c->selection.comms.items[1], "my worker");
	assert_int_equal(c->interval_ns, 1500000000);
	assert_string_equal(c->cache.directory, "/x/y");
	assert_int_equal(c->cache.max_bytes, 64 << 20);
	assert_string_equal(c->resource_attributes.items[0].value, "a b");
	assert_int_equal(c->exporters.count, 2);
	assert_int_equal(c->exporters.items[0].type, EXPORTER_OTLP_GRPC);
	assert_int_equal(c->exporters.items[0].sink.protocol, SINK_OTLP_GRPC);
	assert_int_equal(c->exporters.items[0].sink.compression, SINK_ZSTD);
	assert_int_equal(c->exporters.items[0].sink.timeout_ns, 250 * NS_PER_MS);
	assert_string_equal(c->exporters.items[0].sink.headers.items[0].value, "t");
	assert_string_equal(c->exporters.items[0].sink.ca_file, "/ca");
	assert_string_equal(c->exporters.items[1].name, "pprof-directory");
	assert_string_equal(c->exporters.items[1].directory, "/d");
	release(&f);
}

static void each_mistake_has_its_place(void **state)
{
	assert_problem("sampling:\n  frequncy: 9\n",
		       "2:3 sampling.frequncy: unknown key; did you mean sampling.frequency?");
	assert_problem("frequency: 9\n",
		       "1:1 frequency: unknown key; did you mean sampling.frequency?");
	assert_problem("cache: {max_size: 1GiB}\n",
		       "1:9 cache.max_size: unknown key; did you mean cache.size?");
	assert_problem("spool: {size: 1GiB}\n",
		       "1:9 spool.size: unknown key; did you mean exporters[].spool.size?");
	assert_problem("endpoint: h\n", "1:1 endpoint: unknown key; did you mean exporters[].endpoint?");
	assert_problem("sampling.frequency: 9\n", "1:1 sampling.frequency: unknown key; a key has no dots, "
						  "write 'frequency:' below 'sampling:'");
	assert_problem("selection: {pids: [1]}\n",
		       "1:13 selection.pids: unknown key; there are comm, exe and cgroup in selection");
	assert_problem("qqqqq: 1\n", "1:1 qqqqq: unknown key; there are sampling, memory, budget, kill_switch, "
				     "selection, interval, resource, cache, limits, spool, http, log, exporters and "
				     "strategies");
	assert_problem("interval 10s\n", "1:1 -: not a section; wanted keys with values below it: is a colon missing "
					 "behind the key?");
	assert_problem("log:\n  level: \"info\n", "3:1 -: found unexpected end of stream while scanning a quoted scalar "
						  "that begins in line 2, column 10");
	assert_problem("sampling: {frequency: 0}\n",
		       "1:23 sampling.frequency: '0' is not a whole number from 1 to 10000");
	assert_problem("sampling: {frequency: 19 Hz}\n",
		       "1:23 sampling.frequency: '19 Hz' is not a whole number from 1 to 10000");
	assert_problem("sampling: {frequency: }\n", "1:23 sampling.frequency: no value, wanted a "
						    "whole number from 1 to 10000");
	assert_problem("sampling: {frequency: [1]}\n",
		       "1:23 sampling.frequency: not a single value, wanted a whole number from 1 to "
		       "10000");
	assert_problem("interval: 2h\n", "1:11 interval: '2h' is not a duration from 1s to 1h");
	assert_problem("cache: {size: 64Mib}\n",
		       "1:15 cache.size: '64Mib' is not a size from 1MiB to 1TiB");
	assert_problem("cache: {enabled: maybe}\n",
		       "1:18 cache.enabled: 'maybe' is not true or false");
	assert_problem("log: {level: debgu}\n", "1:14 log.level: 'debgu' is not error, warning, info "
						"or debug; did you mean debug?");
	assert_problem("interval: 1s\nlog: {}\ninterval: 2s\n",
		       "3:1 interval: given twice, first in line 1");
	assert_problem("log:\n  level: info\n  level: info\n",
		       "3:3 log.level: given twice, first in line 2");
	assert_problem("exporters:\n  - type: nonsense\n    endpoint: http://x\n",
		       "2:11 exporters[0].type: 'nonsense' is not otlp-grpc, otlp-http, pyroscope-ingest, "
		       "pyroscope-push or pprof-directory");
	assert_problem("log:\n\tlevel: info\n",
		       "2:1 -: found character that cannot start any token while scanning for the next token: the line "
		       "begins with a tab, YAML wants spaces");
	assert_problem("log:\n  level: info\n   x: 1\n",
		       "3:5 -: mapping values are not allowed in this context: is the line indented too far, or a text "
		       "with ': ' without quotes?");
	assert_problem("resource: {attributes: {a: 1, a: 2}}\n",
		       "1:31 resource.attributes: a is given twice");
	assert_problem("resource: {attributes: [a]}\n",
		       "1:24 resource.attributes: not names with values, wanted {name: value}");
	assert_problem("selection: {comm: nginx}\n",
		       "1:19 selection.comm: not a list, wanted [\"a\", \"b\"]");
	assert_problem("selection: {comm: [[a]]}\n",
		       "1:20 selection.comm: not a text in a list of texts");
	assert_problem("sampling: 12\n",
		       "1:11 sampling: not a section; wanted keys with values below it");
}

static void syntax_has_its_place(void **state)
{
	assert_problem("a: *b\n", "1:4 -: aliases (*name) are not supported");
	assert_problem("a: !!str b\n", "1:4 -: tags are not supported");
	assert_problem("a: 1\n---\nb: 1\n", "2:1 -: a second document: the configuration is one, without '---' between");
	assert_problem("a: \"x\\0y\"\n", "1:4 -: a text with a NUL byte");
	assert_problem("[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]\n", "1:17 -: nested too deeply");
	assert_problem("log:\n  level: info\n level: x\n",
		       "3:2 -: did not find expected key while parsing a block mapping that begins in line 1, column 1");
	assert_problem("log: {}\nx: \xff\n", "2:4 -: invalid leading UTF-8 octet");
}

static void exporters_are_checked_as_a_whole(void **state)
{
	assert_problem("strategies: 3\n",
		       "1:13 strategies: not a list; each strategy begins with a dash");
	assert_problem("strategies:\n  - {strategy: probabilistic}\n",
		       "2:5 strategies[0].ratio: missing: probabilistic needs one");
	assert_problem("strategies:\n  - {strategy: rate}\n", "2:5 strategies[0].samples: missing: rate needs them");
	assert_problem("strategies:\n  - {strategy: never, ratio: 5%}\n",
		       "2:30 strategies[0].ratio: means nothing for never");
	assert_problem("strategies:\n  - {strategy: never, then_next: true}\n",
		       "2:34 strategies[0].then_next: means nothing for never");
	assert_problem("strategies:\n  - {by: process}\n", "2:10 strategies[0].by: means nothing for always");
	assert_problem("strategies:\n  - {event: growth}\n",
		       "2:13 strategies[0].event: means nothing without memory.growth");
	assert_problem("strategies:\n  - {event: heap}\n",
		       "2:13 strategies[0].event: means nothing without memory.heap.enabled");
	assert_problem("memory: {heap: {enabled: true}}\nstrategies:\n"
		       "  - {event: heap, strategy: probabilistic, ratio: 5%}\n",
		       "3:5 strategies[0].by: process or interval is needed: what a process holds is known only where all "
		       "that it frees is seen; memory.heap.interval says how many allocations are");
	assert_problem("memory: {heap: {enabled: true}}\nstrategies:\n"
		       "  - {event: heap, strategy: probabilistic, ratio: 5%, by: trace}\n",
		       "3:59 strategies[0].by: process or interval is needed: what a process holds is known only where all "
		       "that it frees is seen; memory.heap.interval says how many allocations are");
	assert_problem("strategies:\n  - {}\n  - {}\n",
		       "3:5 strategies[1].name: a second strategy named always; give each a name of its own");
	assert_problem("strategies:\n  - {match: {unti: x}}\n",
		       "2:14 strategies[0].match.unti: unknown key; did you mean strategies[0].match.unit?");
	assert_problem("exporters: 3\n",
		       "1:12 exporters: not a list; each exporter begins with a dash");
	assert_problem("exporters:\n  - 3\n", "2:5 exporters: not an exporter; wanted keys with "
					      "values below the dash");
	assert_problem("exporters:\n  - {endpoint: 'http://h'}\n",
		       "2:5 exporters[0].type: missing, wanted otlp-grpc, otlp-http, "
		       "pyroscope-ingest, pyroscope-push or pprof-directory");
	assert_problem("exporters:\n  - {type: otlp-http}\n", "2:5 exporters[0].endpoint: missing");
	assert_problem("exporters:\n  - {type: pprof-directory, directory: d}\n",
		       "2:40 exporters[0].directory: an absolute path is needed");
	assert_problem("exporters:\n  - {type: pprof-directory, directory: /d, endpoint: h}\n",
		       "2:54 exporters[0].endpoint: means nothing for a directory");
	assert_problem("exporters:\n  - {type: pprof-directory, directory: /d}\n"
		       "  - {type: pprof-directory, directory: /e}\n",
		       "3:5 exporters[1].name: a second exporter named pprof-directory; give each a name of "
		       "its own");
	assert_problem("exporters:\n  - {type: pprof-directory, directory: /d, name: ../x}\n",
		       "2:50 exporters[0].name: a name of letters, digits, '-', '_' and '.' is needed, at "
		       "most 64");
	assert_problem("exporters:\n  - {type: pprof-directory, directory: /d}\n"
		       "  - {type: otlp-http, endpoint: 'http://h', basic_auth: {user: u}}\n",
		       "3:5 exporters[1]: user and password file go together: give both");
	assert_problem("exporters:\n  - {type: otlp-http, endpoint: 'http://h', bearer: x}\n",
		       "2:45 exporters[0].bearer: unknown key; did you mean exporters[0].bearer_token_file?");
	assert_problem("exporters:\n  - {type: pprof-directory, directory: /d, tls: {cert: x}}\n",
		       "2:50 exporters[0].tls.cert: unknown key; did you mean "
		       "exporters[0].tls.certificate?");
}

static void all_mistakes_are_told(void **state)
{
	struct fixture f = {0};
	load(&f, "interval: 0s\nlog: {level: x}\nsampling:\n  mode: y\n  z: 1\n", NULL, NULL);
	assert_int_equal(f.problems.count, 4);
	assert_int_equal(f.problems.items[3].line, 5);
	release(&f);
	struct text many = {0};
	for (int i = 0; i < 300; i++)
		text_add(&many, "k%d: 1\n", i);
	load(&f, many.bytes, NULL, NULL);
	assert_int_equal(f.problems.count + f.problems.more, 300);
	text_free(&many);
	release(&f);
}

/* Whenever they were found: what values do together is looked at last. */
static void mistakes_are_told_in_order_of_line(void **state)
{
	struct fixture f = {0};
	static const char *const environment[] = {"BOLOMETER_INTERVAL=never", NULL};
	load(&f,
	     "sampling: {ring: 100KiB, frequncy: 9}\n"
	     "cache: {max_size: 1GiB}\n"
	     "exporters: [{type: pprof-directory, directory: relative}]\n"
	     "qqq: 1\n",
	     environment, NULL);
	assert_string_equal(f.shown.bytes ? f.shown.bytes : "",
			    "F:1:18 sampling.ring: not a power of two\n"
			    "F:1:26 sampling.frequncy: unknown key; did you mean sampling.frequency?\n"
			    "F:2:9 cache.max_size: unknown key; did you mean cache.size?\n"
			    "F:3:48 exporters[0].directory: an absolute path is needed\n"
			    "F:4:1 qqq: unknown key; there are sampling, memory, budget, kill_switch, selection, "
			    "interval, resource, cache, limits, spool, http, log, exporters and strategies\n"
			    "environment variable BOLOMETER_INTERVAL:0:0 interval: 'never' is not a duration "
			    "from 1s to 1h\n");
	release(&f);
}

static void files_that_cannot_be_read_are_told(void **state)
{
	struct fixture f = {0};
	struct configuration_sources sources = {.path = "/nonexistent/x.yaml"};
	f.result = configuration_load(&sources, &f.configuration, &f.problems);
	assert_int_equal(f.result, -ENOENT);
	assert_string_equal(f.problems.items[0].source, "/nonexistent/x.yaml");
	release(&f);
	struct text large = {0};
	while (large.length <= YAML_TREE_MAX_BYTES)
		text_add_string(&large, "# a comment\n");
	f = (struct fixture){0};
	load(&f, large.bytes, NULL, NULL);
	assert_int_equal(f.result, -EFBIG);
	text_free(&large);
	release(&f);
}

static void flag_comes_before_environment_before_file(void **state)
{
	struct fixture f = {0};
	static const char *const environment[] = {
		"BOLOMETER_SAMPLING_FREQUENCY=49", "BOLOMETER_INTERVAL=20s", "BOLOMETER_LOG_LEVEL=",
		"BOLOMETER_SELECTION_COMM=a, b", "BOLOMETER_SERVICE_HOST=10.0.0.1",
		"BOLOMETER_PORT_4040_TCP=tcp://10.0.0.1", NULL};
	static const char *const sets[] = {"sampling.frequency=7", NULL};
	load(&f,
	     "sampling: {frequency: 19}\ninterval: 30s\nlog: {level: error}\n"
	     "selection: {comm: [c]}\n",
	     environment, sets);
	assert_string_equal(f.shown.bytes ? f.shown.bytes : "", "");
	assert_int_equal(f.configuration.sampling.frequency, 7);
	assert_int_equal(f.configuration.interval_ns, 20 * NS_PER_SECOND);
	assert_int_equal(f.configuration.log_level, LOG_LEVEL_ERROR);
	assert_int_equal(f.configuration.selection.comms.count, 2);
	assert_string_equal(f.configuration.selection.comms.items[1], "b");
	release(&f);
}

static void mistakes_outside_the_file_name_their_source(void **state)
{
	struct fixture f = {0};
	static const char *const environment[] = {"BOLOMETER_SAMPLING_FREQENCY=1",
						  "BOLOMETER_INTERVAL=never", NULL};
	static const char *const sets[] = {"intervall=3s", "interval", "log.level=loud", NULL};
	load(&f, "", environment, sets);
	assert_string_equal(
		f.shown.bytes,
		"environment variable BOLOMETER_INTERVAL:0:0 interval: 'never' is not a duration "
		"from 1s to 1h\n"
		"environment variable BOLOMETER_SAMPLING_FREQENCY:0:0 -: no setting has this name; "
		"did you mean BOLOMETER_SAMPLING_FREQUENCY?\n"
		"--set intervall:0:0 intervall: unknown key; did you mean interval?\n"
		"--set interval:0:0 -: wanted KEY=VALUE\n"
		"--set log.level:0:0 log.level: 'loud' is not error, warning, info or debug\n");
	release(&f);
}

static void opentelemetry_makes_an_exporter(void **state)
{
	struct fixture f = {0};
	static const char *const environment[] = {
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://h:4318/base",
		"OTEL_EXPORTER_OTLP_HEADERS=api-key=a%20b,x=y",
		"OTEL_EXPORTER_OTLP_PROFILES_TIMEOUT=2500",
		"OTEL_EXPORTER_OTLP_TIMEOUT=1",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/ca",
		"OTEL_RESOURCE_ATTRIBUTES=service.name=n,k=v%2Cw",
		"OTEL_SERVICE_NAME=mine",
		NULL};
	load(&f, "resource: {attributes: {k: old, l: m}}\n", environment, NULL);
	assert_string_equal(f.shown.bytes ? f.shown.bytes : "", "");
	const struct configuration *c = &f.configuration;
	assert_int_equal(c->exporters.count, 1);
	const struct exporter_configuration *exporter = &c->exporters.items[0];
	assert_int_equal(exporter->type, EXPORTER_OTLP_HTTP);
	assert_string_equal(exporter->sink.endpoint, "http://h:4318/base");
	assert_false(exporter->sink.endpoint_is_exact);
	assert_int_equal(exporter->sink.timeout_ns, 2500 * NS_PER_MS);
	assert_string_equal(exporter->sink.headers.items[0].value, "a b");
	assert_string_equal(exporter->sink.ca_file, "/ca");
	assert_int_equal(c->resource_attributes.count, 3);
	assert_string_equal(c->resource_attributes.items[0].value, "v,w");
	assert_string_equal(c->resource_attributes.items[2].name, "service.name");
	assert_string_equal(c->resource_attributes.items[2].value, "mine");
	release(&f);
}

static void opentelemetry_signal_comes_before_generic(void **state)
{
	struct fixture f = {0};
	static const char *const http[] = {"OTEL_EXPORTER_OTLP_ENDPOINT=http://a",
					   "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT=http://b/exact",
					   NULL};
	static const char *const grpc[] = {"OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
					   "OTEL_EXPORTER_OTLP_INSECURE=true", NULL};
	static const char *const wrong[] = {"OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
					    "OTEL_EXPORTER_OTLP_HEADERS=secret",
					    "OTEL_RESOURCE_ATTRIBUTES=a=%zz", NULL};
	load(&f, "", http, NULL);
	assert_string_equal(f.configuration.exporters.items[0].sink.endpoint, "http://b/exact");
	assert_true(f.configuration.exporters.items[0].sink.endpoint_is_exact);
	release(&f);
	f = (struct fixture){0};
	load(&f, "", grpc, NULL);
	assert_string_equal(f.configuration.exporters.items[0].sink.endpoint,
			    "http://localhost:4317");
	assert_true(f.configuration.exporters.items[0].sink.plain);
	release(&f);
	f = (struct fixture){0};
	load(&f, "", wrong, NULL);
	assert_int_equal(f.problems.count, 3);
	assert_null(strstr(f.shown.bytes, "secret"));
	release(&f);
	f = (struct fixture){0};
	load(&f, "exporters: [{type: pprof-directory, directory: /d}]\n", http, NULL);
	assert_int_equal(f.configuration.exporters.count, 1);
	assert_int_equal(f.configuration.exporters.items[0].type, EXPORTER_PPROF_DIRECTORY);
	release(&f);
}

static void printing_gives_the_settings_again_without_secrets(void **state)
{
	static const char yaml[] =
		"sampling: {frequency: 19}\nselection: {exe: [\"/opt/\\\"x\"]}\n"
		"resource: {attributes: {a: \"b: c\"}}\n"
		"exporters: [{type: otlp-http, endpoint: 'http://h', headers: {key: hidden}}]\n";
	struct fixture f = {0}, again = {0};
	struct text printed = {0}, printed_again = {0};
	load(&f, yaml, NULL, NULL);
	configuration_print(&f.configuration, &printed);
	assert_null(strstr(printed.bytes, "hidden"));
	load(&again, printed.bytes, NULL, NULL);
	assert_string_equal(again.shown.bytes ? again.shown.bytes : "", "");
	configuration_print(&again.configuration, &printed_again);
	assert_string_equal(printed.bytes, printed_again.bytes);
	text_free(&printed);
	text_free(&printed_again);
	release(&f);
	release(&again);
}

static void comparing_tells_what_needs_a_restart(void **state)
{
	struct fixture old = {0}, new = {0};
	struct configuration_changes changes = {0};
	load(&old, "sampling: {frequency: 19, max_frames: 64}\n", NULL, NULL);
	load(&new,
	     "sampling: {frequency: 49, max_frames: 128}\nselection: {comm: [a]}\n"
	     "exporters: [{type: pprof-directory, directory: /d}]\n",
	     NULL, NULL);
	assert_int_equal(configuration_compare(&old.configuration, &new.configuration, &changes), 0);
	assert_int_equal(changes.count, 4);
	assert_string_equal(changes.items[0].key, "sampling.frequency");
	assert_false(changes.items[0].needs_restart);
	assert_string_equal(changes.items[1].key, "sampling.max_frames");
	assert_true(changes.items[1].needs_restart);
	assert_string_equal(changes.items[2].key, "selection.comm");
	assert_string_equal(changes.items[3].key, "exporters");
	configuration_keep_fixed(&old.configuration, &new.configuration);
	assert_int_equal(new.configuration.sampling.frequency, 49);
	assert_int_equal(new.configuration.sampling.max_frames, 64);
	array_free(&changes);
	release(&old);
	release(&new);
}

/* The shipped file is what the table says, and as it stands it changes nothing. */
static void the_shipped_file_is_the_table(void **state)
{
	_cleanup_free_ char *shipped = NULL;
	struct text reference = {0};
	struct fixture f = {0}, none = {0};
	configuration_print_reference(&reference);
	assert_int_equal(read_whole_file(SHIPPED_CONFIGURATION, 1 << 20, &shipped, NULL), 0);
	assert_string_equal(shipped, reference.bytes);
	load(&f, shipped, NULL, NULL);
	load(&none, "", NULL, NULL);
	struct configuration_changes changes = {0};
	assert_string_equal(f.shown.bytes ? f.shown.bytes : "", "");
	assert_int_equal(configuration_compare(&none.configuration, &f.configuration, &changes), 0);
	assert_int_equal(changes.count, 0);
	text_free(&reference);
	release(&f);
	release(&none);
}

/* What a file says of strategies, and that it is another configuration then. */
static void strategies_are_read(void **state)
{
	struct fixture f = {0}, other = {0};
	struct configuration_changes changes = {0};
	load(&f, "strategies:\n  - name: shops\n    strategy: adaptive\n    samples: 40000\n"
		 "    expected_hosts: 50\n    match: {unit: a, attributes: {k: 'v-*'}}\n",
	     NULL, NULL);
	load(&other, "", NULL, NULL);
	assert_int_equal(f.result, 0);
	assert_int_equal(f.configuration.strategies.count, 1);
	const struct strategy_configuration *s = &f.configuration.strategies.items[0];
	assert_string_equal(s->name, "shops");
	assert_string_equal(s->unit, "a");
	assert_int_equal(s->strategy, STRATEGY_ADAPTIVE);
	assert_int_equal(s->samples, 40000);
	assert_int_equal(s->expected_hosts, 50);
	assert_int_equal(s->event, STRATEGY_OF_CPU);
	assert_string_equal(s->attributes.items[0].value, "v-*");
	assert_int_equal(configuration_compare(&f.configuration, &other.configuration, &changes), 0);
	assert_int_equal(changes.count, 1);
	assert_string_equal(changes.items[0].key, "strategies");
	array_free(&changes);
	release(&f);
	release(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strategies_are_read),
		cmocka_unit_test(defaults_hold_for_an_empty_file),
		cmocka_unit_test(every_kind_of_value_is_read),
		cmocka_unit_test(each_mistake_has_its_place),
		cmocka_unit_test(syntax_has_its_place),
		cmocka_unit_test(exporters_are_checked_as_a_whole),
		cmocka_unit_test(all_mistakes_are_told),
		cmocka_unit_test(mistakes_are_told_in_order_of_line),
		cmocka_unit_test(files_that_cannot_be_read_are_told),
		cmocka_unit_test(flag_comes_before_environment_before_file),
		cmocka_unit_test(mistakes_outside_the_file_name_their_source),
		cmocka_unit_test(opentelemetry_makes_an_exporter),
		cmocka_unit_test(opentelemetry_signal_comes_before_generic),
		cmocka_unit_test(printing_gives_the_settings_again_without_secrets),
		cmocka_unit_test(comparing_tells_what_needs_a_restart),
		cmocka_unit_test(the_shipped_file_is_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
