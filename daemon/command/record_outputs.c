/* SPDX-License-Identifier: Apache-2.0 */
/* See record_outputs.h. */
#include "command/record_outputs.h"

#include "command/output_threads.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* With the ending of the format behind it. */
#define DEFAULT_OUTPUT "bolometer-%h-%t"
#define DEFAULT_OUTPUT_OF_KIND "bolometer-%h-%t-%e"

/* ---- Opening ---------------------------------------------------------------------------------- */

static int open_output(struct record_outputs *outputs, const struct record_options *options, const char *pattern,
		       struct output_names *names, enum profile_kind kind)
{
	_cleanup_free_ char *path = NULL;
	names->kind = profile_kind_word(kind);
	int r = output_expand(pattern, names, &path);
	if (r == -EINVAL)
		return command_usage_error(
			&command_record,
			"--output: '%s': only %%h, %%p, %%t, %%e and %%%% have a meaning", pattern);
	if (r < 0)
		return command_error(&command_record, "%s", strerror(-r));

	for (size_t i = 0; i < outputs->count; i++)
		if (strcmp(outputs->items[i].output.path, path) == 0)
			return command_usage_error(&command_record, "--output: '%s' is given twice", path);
	struct record_output output = {.kind = kind};
	int status = command_open_output(&command_record, path, options->format, &output.output);
	if (status == STATUS_OK && array_add(outputs, output) < 0)
		status = command_error(&command_record, "%s", strerror(ENOMEM));
	if (status != STATUS_OK)
		output_close(&output.output);
	return status;
}

/* A file for each kind of profile. */
static int open_kinds(struct record_outputs *outputs, const struct record_options *options, const char *pattern,
		      struct output_names *names)
{
	int status = STATUS_OK;
	for (int kind = 0; kind < PROFILE_KIND_COUNT && status == STATUS_OK; kind++)
		if (options->kinds & PROFILE_KIND_BIT(kind))
			status = open_output(outputs, options, pattern, names, (enum profile_kind)kind);
	return status;
}

static int open_default(struct record_outputs *outputs, const struct record_options *options,
			struct output_names *names)
{
	const char *word = options->format;
	int format = word ? format_from_word(word) : FILE_FORMAT_PPROF;
	bool is_cpu_alone = options->kinds == PROFILE_KIND_BIT(PROFILE_KIND_CPU);
	/* An unknown word is refused with the file. */
	_cleanup_free_ char *pattern =
		text_format("%s%s", is_cpu_alone ? DEFAULT_OUTPUT : DEFAULT_OUTPUT_OF_KIND,
			    format_ending(format < 0 ? FILE_FORMAT_PPROF : (enum file_format)format));
	return pattern ? open_kinds(outputs, options, pattern, names)
		       : command_error(&command_record, "%s", strerror(ENOMEM));
}

int record_outputs_open(struct record_outputs *outputs, const struct record_options *options, uint32_t pid)
{
	char host[256] = "host";
	gethostname(host, sizeof(host) - 1);
	struct output_names names = {host, pid, time(NULL), NULL};
	if (!options->outputs.list.count)
		return open_default(outputs, options, &names);
	for (size_t i = 0; i < options->outputs.list.count; i++) {
		int status = open_kinds(outputs, options, options->outputs.list.items[i], &names);
		if (status != STATUS_OK)
			return status;
	}
	return STATUS_OK;
}

bool record_outputs_have(const struct record_outputs *outputs, enum file_format format)
{
	for (size_t i = 0; i < outputs->count; i++)
		if (outputs->items[i].output.format == format)
			return true;
	return false;
}

void record_outputs_close(struct record_outputs *outputs)
{
	for (size_t i = 0; i < outputs->count; i++)
		output_close(&outputs->items[i].output);
	array_free(outputs);
}

/* ---- Victims of a lack of memory ------------------------------------------------------------- */

/* Beside the first output: "oom-PID-NAME-growth.pb.gz". */
static char *victim_path(const struct record_outputs *outputs, const struct recording_victim *victim,
			 enum profile_kind kind)
{
	const char *output = outputs->count ? outputs->items[0].output.path : "";
	const char *slash = strrchr(output, '/');
	struct text path = {0};
	text_add(&path, "%.*soom-%u-", slash ? (int)(slash + 1 - output) : 0, output, victim->pid);
	for (const char *c = victim->name; *c; c++)
		text_add_char(&path, isalnum((unsigned char)*c) || strchr("._-", *c) ? *c : '_');
	text_add(&path, "-%s.pb.gz", profile_kind_word(kind));
	return text_take(&path);
}

static void write_victim(const struct record_outputs *outputs, const struct recording_victim *victim,
			 enum profile_kind kind)
{
	_cleanup_free_ char *path = victim_path(outputs, victim, kind);
	struct output output = {.fd = -1};
	if (!path || command_open_output(&command_record, path, NULL, &output) != STATUS_OK) {
		output_close(&output);
		return;
	}
	int r = output_write(&output, victim->profiles[kind]);
	fputc('\r', stderr); /* over the line of the progress */
	if (r < 0)
		command_error(&command_record, "cannot write %s: %s", path, strerror(-r));
	else
		command_tell(&command_record, "process %u (%s) was killed for lack of memory: wrote %s", victim->pid,
			     victim->name, path);
	output_close(&output);
}

void record_outputs_write_victim(const struct record_outputs *outputs, const struct recording_victim *victim)
{
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		if (victim->profiles[kind])
			write_victim(outputs, victim, (enum profile_kind)kind);
}

/* ---- Writing ---------------------------------------------------------------------------------- */

static const char *viewing_hint(enum file_format format)
{
	switch (format) {
	case FILE_FORMAT_PPROF:
	case FILE_FORMAT_PPROF_RAW:
		return "bolometer report FILE, bolometer flame FILE, go tool pprof FILE";
	case FILE_FORMAT_OTLP:
		return "POST it to a collector's /v1development/profiles";
	case FILE_FORMAT_FOLDED:
		return "one stack a line, for flame graph tools";
	case FILE_FORMAT_HTML:
		return "open in a browser";
	case FILE_FORMAT_SPEEDSCOPE:
		return "drop on speedscope.app";
	default:
		return "text";
	}
}

static int tell_written(const struct output_job *job, bool is_first, struct text *out)
{
	const struct output *output = job->output;
	char size[32];
	if (job->result < 0)
		return command_error(&command_record, "cannot write %s: %s", output_title(output->path),
				     output_error(job->result));
	text_add(out, "%s %s  %s  (%s)\n", is_first ? "wrote     " : "          ",
		 output_title(output->path),
		 text_size(size, sizeof(size), output->bytes), viewing_hint(output->format));
	return STATUS_OK;
}

int record_outputs_write(struct record_outputs *outputs, struct profile *const profiles[PROFILE_KIND_COUNT],
			 struct text *out)
{
	size_t count = outputs->count;
	int status = STATUS_OK;
	_cleanup_free_ struct output_job *jobs = calloc(MAX_OF(count, 1u), sizeof(*jobs));
	if (!jobs)
		return command_error(&command_record, "%s", strerror(ENOMEM));
	for (size_t i = 0; i < count; i++) {
		struct record_output *output = &outputs->items[i];
		jobs[i] = (struct output_job){.output = &output->output,
					      .profile = profiles[output->kind]};
	}
	output_write_all(jobs, count);
	for (size_t i = 0; i < count; i++) {
		int told = tell_written(&jobs[i], out->length == 0, out);
		status = told == STATUS_OK ? status : told;
	}
	return status;
}
