/* SPDX-License-Identifier: Apache-2.0 */
/* `bolometer status`, `start`, `stop`, `reset` and `dump`: questions to the daemon that runs on this host. */
#include "command/daemon_client.h"
#include "command/output.h"
#include "format/pprof.h"
#include "profile/profile_kind.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DUMP_TIMEOUT_NS (300 * NS_PER_SECOND)
#define DUMP_PATH "dump.pb.gz"

struct control_options {
	const char *socket;
	struct option_texts paths;    /* dump; none: DUMP_PATH */
	const char *format, *events; /* dump */
	uint64_t last_ns;	     /* dump */
	bool json;		   /* status */
};

#define AT(field) offsetof(struct control_options, field)

static const struct option_spec control_specs[] = {
	DAEMON_SOCKET_OPTION(AT(socket)),
	OPTIONS_END,
};

static const struct option_spec status_specs[] = {
	OPTION(FLAG, 0, "json", NULL, AT(json), "for programs"),
	DAEMON_SOCKET_OPTION(AT(socket)),
	OPTIONS_END,
};

static const struct option_spec dump_specs[] = {
	OPTION(DURATION, 0, "last", "TIME", AT(last_ns),
	       "how far back, up to 24h (default: 10m)"),
	OPTION(TEXT, 'e', "events", "KIND", AT(events),
	       "cpu (the default), growth or heap: what the daemon records, one of them",
	       .words = "cpu, growth, heap"),
	OPTION(TEXT_LIST, 'o', "output", "FILE", AT(paths),
	       "where to, the format by its ending; repeatable (default: " DUMP_PATH ");\n'-' is standard output"),
	OPTION(TEXT, 0, "format", "FORMAT", AT(format), "where no ending tells: " FORMAT_WORDS,
	       .words = FORMAT_WORDS),
	DAEMON_SOCKET_OPTION(AT(socket)),
	OPTIONS_END,
};

static int exit_status(int r)
{
	return r == 0 ? STATUS_OK : r == -EACCES ? STATUS_UNSUPPORTED : STATUS_ERROR;
}

/* Asks; says what went wrong. */
static int ask(const struct command *command, const struct daemon_request *request,
	       struct text *body)
{
	struct text error = {0};
	int r = daemon_client_ask(request, body, &error);
	if (r < 0)
		command_error(command, "%s", error.bytes ? error.bytes : strerror(ENOMEM));
	text_free(&error);
	return exit_status(r);
}

static int print_answer(const struct command *command, const struct control_options *options,
			const char *path, bool is_post)
{
	struct text body = {0};
	struct daemon_request request = {.socket = daemon_client_socket(options->socket),
					 .path = path,
					 .is_post = is_post};
	int status = ask(command, &request, &body);
	if (status == STATUS_OK)
		return command_print(&body);
	text_free(&body);
	return status;
}

static bool parse(const struct command *command, struct control_options *options, int argc,
		  char **argv, int *ret_status)
{
	struct option_words words = {0};
	bool go = command_parse(command, options, argc, argv, &words, ret_status);
	option_words_free(&words);
	return go;
}

static int status_run(int argc, char **argv)
{
	struct control_options options = {0};
	int status;
	if (!parse(&command_status, &options, argc, argv, &status))
		return status;
	return print_answer(&command_status, &options,
			    options.json ? "/api/status" : "/api/status?format=text", false);
}

static int start_run(int argc, char **argv)
{
	struct control_options options = {0};
	int status;
	if (!parse(&command_start, &options, argc, argv, &status))
		return status;
	return print_answer(&command_start, &options, "/api/start", true);
}

static int stop_run(int argc, char **argv)
{
	struct control_options options = {0};
	int status;
	if (!parse(&command_stop, &options, argc, argv, &status))
		return status;
	return print_answer(&command_stop, &options, "/api/stop", true);
}

static int reset_run(int argc, char **argv)
{
	struct control_options options = {0};
	int status;
	if (!parse(&command_reset, &options, argc, argv, &status))
		return status;
	return print_answer(&command_reset, &options, "/api/reset", true);
}

/* ---- dump -------------------------------------------------------------------------------------------- */

/* There may be less than was asked for: the daemon is young, or keeps no files. */
static void tell_extent(const struct output *output, const struct profile *profile, uint64_t last_ns)
{
	double has = (double)profile->duration_ns / 1e9, wanted = ns_to_seconds(last_ns);
	char end[UTC_TEXT_SIZE];
	fprintf(stderr, "%s: %.1f s until %s", output_title(output->path), has,
		utc_text((uint64_t)profile->time_ns + (uint64_t)profile->duration_ns, end));
	if (has < 0.9 * wanted)
		fprintf(stderr, " (of %.0f s asked for, there is no more)", wanted);
	fputc('\n', stderr);
}

/* The answer is a pprof file: as it is, or in the format that was asked for. */
static int write_dump(struct output *output, const struct text *body, uint64_t last_ns)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct pprof_failure failure = {.text = ""};
	int r = pprof_decode(body->bytes, body->length, 0, &failure, &profile);
	if (r == 0)
		r = output->format == FILE_FORMAT_PPROF ? output_write_bytes(output, body)
							: output_write(output, profile);
	if (r == 0) {
		tell_extent(output, profile, last_ns);
		return STATUS_OK;
	}
	return command_error(&command_dump, "cannot write %s: %s", output_title(output->path),
			     failure.text[0] ? failure.text : strerror(-r));
}

static int fetch_dump(const struct control_options *options, struct text *body)
{
	_cleanup_free_ char *path = text_format("/api/dump?last=%llums&events=%s",
						(unsigned long long)(options->last_ns / NS_PER_MS),
						options->events);
	if (!path)
		return command_error(&command_dump, "%s", strerror(ENOMEM));
	struct daemon_request request = {.socket = daemon_client_socket(options->socket),
					 .path = path,
					 .timeout_ns = DUMP_TIMEOUT_NS};
	return ask(&command_dump, &request, body);
}

/* What can be known to fail of any file does before the daemon is asked. */
static int dump_to(const struct control_options *options, const char *const *paths, size_t count)
{
	struct text body = {0};
	struct output *outputs = calloc(count, sizeof(*outputs));
	if (!outputs)
		return command_error(&command_dump, "%s", strerror(ENOMEM));
	int status = STATUS_OK;
	size_t opened = 0;
	while (status == STATUS_OK && opened < count) {
		status = command_open_output(&command_dump, paths[opened], options->format, &outputs[opened]);
		opened++;
	}
	if (status == STATUS_OK)
		status = fetch_dump(options, &body);
	for (size_t i = 0; status == STATUS_OK && i < count; i++)
		status = write_dump(&outputs[i], &body, options->last_ns);
	while (opened)
		output_close(&outputs[--opened]);
	free(outputs);
	text_free(&body);
	return status;
}

static int dump_run(int argc, char **argv)
{
	static const char *const default_path = DUMP_PATH;
	struct control_options options = {.events = "cpu", .last_ns = 600 * NS_PER_SECOND};
	int status;
	if (parse(&command_dump, &options, argc, argv, &status)) {
		const struct option_texts *paths = &options.paths;
		unsigned kinds; /* also since it becomes a part of a request's address */
		if (profile_kinds_parse(options.events, &kinds) < 0 || __builtin_popcount(kinds) != 1)
			status = command_usage_error(&command_dump, "--events: one of cpu, growth and heap is wanted");
		else if (paths->list.count)
			status = dump_to(&options, paths->list.items, paths->list.count);
		else
			status = dump_to(&options, &default_path, 1);
	}
	array_free(&options.paths.list);
	return status;
}

const struct command command_status = {
	.name = "status",
	.arguments = "[options]",
	.summary = "say what the daemon on this host does",
	.options = status_specs,
	.run = status_run,
};

const struct command command_start = {
	.name = "start",
	.arguments = "[options]",
	.summary = "let the daemon sample again after a stop",
	.options = control_specs,
	.run = start_run,
};

const struct command command_stop = {
	.name = "stop",
	.arguments = "[options]",
	.summary = "let the daemon pause sampling; it goes on to send what it has",
	.options = control_specs,
	.run = stop_run,
};

const struct command command_reset = {
	.name = "reset",
	.arguments = "[options]",
	.summary = "let the daemon's sampling strategies count anew",
	.options = control_specs,
	.run = reset_run,
};

const struct command command_dump = {
	.name = "dump",
	.arguments = "[options]",
	.summary = "write the daemon's last minutes as one profile",
	.details = "With a pprof-directory exporter these are the intervals in its files; without, the "
		   "last\ninterval alone.",
	.options = dump_specs,
	.run = dump_run,
};
