/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends a file through a sink, as the export tests direct it. Options are words "name=value"; orders
 * come on standard input, a line each, and every send is answered by one line of JSON:
 *
 *	send [TIMEOUT-MS [CANCEL-AFTER-MS]]
 *
 * SIGPIPE keeps its default action: a sink that lets it through ends this process.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "export/sinks.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAYLOAD_LIMIT ((size_t)64 << 20)

struct sender {
	struct sink_options options;
	struct payload payload;
	struct sink *sink;
	unsigned cancel_ms;
};

/* "name:value" */
static int add_pair(struct sink_pairs *pairs, const char *value)
{
	_cleanup_free_ char *name = strdup(value);
	char *colon = name ? strchr(name, ':') : NULL;
	if (!colon)
		return -1;
	*colon = '\0';
	return sink_pairs_add(pairs, name, colon + 1);
}

static enum sink_protocol protocol_of(const char *name)
{
	return !strcmp(name, "grpc")   ? SINK_OTLP_GRPC
	       : !strcmp(name, "http") ? SINK_OTLP_HTTP
	       : !strcmp(name, "push") ? SINK_PYROSCOPE_PUSH
				       : SINK_PYROSCOPE_INGEST;
}

static int set_string(struct sink_options *options, const char *name, const char *value)
{
	const struct {
		const char *name;
		char **to;
	} strings[] = {
		{"endpoint", &options->endpoint}, {"ca", &options->ca_file},
		{"cert", &options->certificate_file}, {"key", &options->key_file},
		{"bearer", &options->bearer_token_file}, {"user", &options->user},
		{"password", &options->password_file}, {"proxy", &options->proxy},
		{"application", &options->application},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(strings); i++)
		if (!strcmp(name, strings[i].name))
			return (*strings[i].to = strdup(value)) ? 0 : -1;
	return -1;
}

static int set_option(struct sender *sender, const char *name, const char *value)
{
	struct sink_options *options = &sender->options;
	if (!strcmp(name, "payload"))
		return read_whole_file(value, PAYLOAD_LIMIT, (char **)&sender->payload.bytes,
				       &sender->payload.size);
	if (!strcmp(name, "protocol"))
		options->protocol = protocol_of(value);
	else if (!strcmp(name, "kind"))
		sender->payload.kind = !strcmp(value, "pprof")	  ? PAYLOAD_PPROF
				       : !strcmp(value, "series") ? PAYLOAD_PYROSCOPE
								  : PAYLOAD_OTLP;
	else if (!strcmp(name, "compression"))
		options->compression = !strcmp(value, "gzip")	? SINK_GZIP
				       : !strcmp(value, "zstd") ? SINK_ZSTD
								: SINK_UNCOMPRESSED;
	else if (!strcmp(name, "timeout-ms"))
		options->timeout_ns = strtoull(value, NULL, 10) * NS_PER_MS;
	else if (!strcmp(name, "exact"))
		options->endpoint_is_exact = true;
	else if (!strcmp(name, "plain"))
		options->plain = true;
	else if (!strcmp(name, "skip-verification"))
		options->skip_verification = true;
	else if (!strcmp(name, "header"))
		return add_pair(&options->headers, value);
	else if (!strcmp(name, "label"))
		return add_pair(&options->labels, value);
	else
		return set_string(options, name, value);
	return 0;
}

static int read_options(struct sender *sender, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');
		if (!equals)
			return -1;
		*equals = '\0';
		if (set_option(sender, argv[i], equals + 1) < 0) {
			fprintf(stderr, "bad option %s\n", argv[i]);
			return -1;
		}
	}
	return 0;
}

static void print_result(const struct sink_result *result, uint64_t took_ns, uint64_t cpu_ns)
{
	static const char *const outcomes[] = {"sent", "retry", "rejected", "too_large"};
	_cleanup_(text_free) struct text message = {0};
	text_add_json(&message, result->message);
	printf("{\"outcome\": \"%s\", \"retry_after\": %.3f, \"rejected\": %llu, \"limit\": %llu, "
	       "\"bytes\": %llu, \"maybe\": %s, \"ms\": %.1f, \"cpu_ms\": %.3f, \"message\": \"%s\"}\n",
	       outcomes[result->outcome], (double)result->retry_after_ns / 1e9,
	       (unsigned long long)result->rejected_profiles,
	       (unsigned long long)result->size_limit, (unsigned long long)result->bytes_sent,
	       result->maybe_received ? "true" : "false", (double)took_ns / 1e6, (double)cpu_ns / 1e6,
	       message.length ? message.bytes : "");
	fflush(stdout);
}

static void *cancel_later(void *userdata)
{
	struct sender *sender = userdata;
	usleep(sender->cancel_ms * 1000);
	sender->sink->operations->cancel(sender->sink);
	return NULL;
}

static void obey(struct sender *sender, const char *line)
{
	unsigned timeout_ms = 5000, cancel_ms = 0;
	pthread_t canceller;
	struct sink_result result;
	int words = sscanf(line, "send %u %u", &timeout_ms, &cancel_ms);
	sender->cancel_ms = cancel_ms;
	if (words == 2 && pthread_create(&canceller, NULL, cancel_later, sender) != 0)
		abort();
	uint64_t start = monotonic_ns(), cpu_start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	sender->sink->operations->send(sender->sink, &sender->payload, timeout_ms * NS_PER_MS,
				       &result);
	print_result(&result, monotonic_ns() - start,
		     clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_start);
	if (words == 2)
		pthread_join(canceller, NULL);
}

int main(int argc, char **argv)
{
	struct sender sender = {.payload.kind = PAYLOAD_OTLP,
				.payload.start_ns = 1700000000500000000,
				.payload.end_ns = 1700000010500000000};
	char problem[256] = "", line[128];
	if (read_options(&sender, argc, argv) < 0)
		return 2;
	int r = sink_new(&sender.options, &sender.sink, problem, sizeof(problem));
	if (r < 0) {
		fprintf(stderr, "%s\n", problem);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin))
		obey(&sender, line);
	sender.sink->operations->free(sender.sink);
	sink_options_free(&sender.options);
	free((void *)sender.payload.bytes);
	return 0;
}
