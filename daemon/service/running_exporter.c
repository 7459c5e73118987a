/* SPDX-License-Identifier: Apache-2.0 */
/* See running_exporter.h. */
#include "service/running_exporter.h"

#include "export/pprof_directory.h"
#include "export/sinks.h"
#include "service/exporters_encode.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int running_exporter_make_sink(const struct exporter_configuration *c, struct sink **ret)
{
	char problem[256] = "";
	int r;
	if (c->type == EXPORTER_PPROF_DIRECTORY) {
		char host[256] = "host";
		gethostname(host, sizeof(host) - 1);
		struct pprof_directory_options options = {.directory = c->directory,
							  .host = host,
							  .max_bytes = c->max_bytes,
							  .max_age_ns = c->max_age_ns};
		r = pprof_directory_new(&options, ret);
	} else {
		r = sink_new(&c->sink, ret, problem, sizeof(problem));
	}
	if (r < 0)
		log_error("exporter %s: %s", c->name, problem[0] ? problem : strerror(-r));
	return r;
}

static const char *spool_part_of(enum exporter_type type)
{
	switch (payload_kind_of(type)) {
	case PAYLOAD_OTLP:
		return "otlp";
	case PAYLOAD_PYROSCOPE:
		return "pyroscope";
	default:
		return "pprof";
	}
}

bool running_exporter_has_spool(const char *spool_directory, const struct exporter_configuration *c)
{
	return spool_directory && c->type != EXPORTER_PPROF_DIRECTORY;
}

/* Each kind of payload has a spool of its own: one that changes its type does not meet what it cannot
 * send. NULL: there is none. */
static int spool_path(const char *spool_directory, const struct exporter_configuration *c, char **ret)
{
	*ret = NULL;
	if (!running_exporter_has_spool(spool_directory, c))
		return 0;
	*ret = text_format("%s/%s.%s", spool_directory, c->name, spool_part_of(c->type));
	return *ret ? 0 : -ENOMEM;
}

int running_exporter_start(const char *spool_directory, const struct exporter_configuration *c, struct sink **sink,
		   struct exporter **ret)
{
	_cleanup_free_ char *directory = NULL;
	int r = spool_path(spool_directory, c, &directory);
	struct exporter_options options = {
		.name = c->name,
		.spool = {.directory = directory, .max_bytes = c->spool_bytes},
		.retry = {.initial_ns = c->retry_initial_ns,
			  .max_ns = c->retry_max_ns},
		.send_timeout_ns = c->sink.timeout_ns,
		.split = split_payload,
	};
	if (r == 0)
		r = exporter_new(&options, *sink, ret);
	if (r == -EBUSY)
		log_error("exporter %s: another process uses its spool %s; give this daemon another "
			  "spool.directory",
			  c->name, directory);
	else if (r < 0)
		log_error("exporter %s: %s", c->name, strerror(-r));
	if (r == 0)
		*sink = NULL; /* the exporter's now */
	return r;
}

void running_exporter_statistics(const struct running_exporter *running, struct exporter_statistics *ret)
{
	*ret = (struct exporter_statistics){0};
	if (running->exporter)
		exporter_statistics(running->exporter, ret);
	ret->spool.taken.samples += running->lost;
	ret->spool.dropped[DROP_NO_QUEUE].samples += running->lost;
}

void running_exporter_stop(const struct running_exporter *running, const char *name)
{
	struct exporter_statistics s;
	struct text line = {0};
	uint64_t dropped = 0;
	if (running->exporter)
		exporter_stop(running->exporter);
	else if (!running->lost)
		return;
	running_exporter_statistics(running, &s);
	for (int i = 0; i < DROP_REASON_COUNT; i++)
		dropped += s.spool.dropped[i].samples;
	text_add(&line, "taken=%llu recovered=%llu sent=%llu waiting=%llu dropped=%llu",
		 (unsigned long long)s.spool.taken.samples,
		 (unsigned long long)s.spool.recovered.samples,
		 (unsigned long long)s.spool.sent.samples,
		 (unsigned long long)s.spool.waiting.samples, (unsigned long long)dropped);
	for (int i = 0; i < DROP_REASON_COUNT; i++)
		if (s.spool.dropped[i].samples)
			text_add(&line, " dropped_%s=%llu", drop_reason_name((enum drop_reason)i),
				 (unsigned long long)s.spool.dropped[i].samples);
	text_add(&line, " maybe_repeated=%llu splits=%llu",
		 (unsigned long long)s.spool.maybe_repeated, (unsigned long long)s.spool.splits);
	log_info("exporter %s: samples %s", name, line.bytes ? line.bytes : "");
	text_free(&line);
}
