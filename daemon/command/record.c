/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bolometer record`. Order matters: the command of `-- CMD` is forked before signals are blocked
 * and waits for sampling to start; outputs are opened before anything is loaded, so that a full
 * disk is known at once; while the profile is made, Ctrl-C has its default meaning again, and an
 * unfinished output has no name yet.
 */
#include "command/record_options.h"

#include "base/clock.h"
#include "base/log.h"
#include "command/awaited.h"
#include "command/output_threads.h"
#include "command/record_summary.h"
#include "command/terminal.h"
#include "command/workload.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PROGRESS_INTERVAL_NS (500 * NS_PER_MS)
/* With the ending of the format behind it. */
#define DEFAULT_OUTPUT "bolometer-%h-%t"
#define DEFAULT_OUTPUT_OF_KIND "bolometer-%h-%t-%e"

static const struct {
	int number;
	bool ends_capture; /* the others are caught only to be passed on to a command */
} watched_signals[] = {
	{SIGINT, true},	  {SIGTERM, true},  {SIGHUP, true},
	{SIGQUIT, false}, {SIGUSR1, false}, {SIGUSR2, false},
};

struct record_output {
	struct output output;
	enum profile_kind kind;
};

struct record {
	struct record_options options;
	char **command_line; /* NULL: none */
	struct loop *loop;
	struct recording *recording;
	struct workload workload;
	struct awaited processes; /* of --pid */
	ARRAY(struct record_output) outputs;
	struct loop_source *signals[ARRAY_LENGTH(watched_signals)];
	struct loop_source *progress; /* NULL: none, or the capture is over */
	unsigned interrupts;
	bool is_told_to_end; /* by a signal, not by its options */
};

static void record_free(struct record *record)
{
	for (size_t i = 0; i < ARRAY_LENGTH(watched_signals); i++)
		loop_remove(record->signals[i]);
	loop_remove(record->progress);
	awaited_free(&record->processes);
	recording_free(record->recording);
	loop_free(record->loop);
	workload_close(&record->workload);
	for (size_t i = 0; i < record->outputs.count; i++)
		output_close(&record->outputs.items[i].output);
	array_free(&record->outputs);
	record_options_free(&record->options);
}

#define _cleanup_record_ _cleanup_(record_free)

/* ---- Outputs --------------------------------------------------------------------------------- */

static uint32_t named_pid(const struct record *record)
{
	if (record->workload.pid > 0)
		return (uint32_t)record->workload.pid;
	return record->options.pids.list.count == 1 ? record->options.pids.list.items[0]
						    : (uint32_t)getpid();
}

static int open_output(struct record *record, const char *pattern, struct output_names *names,
		       enum profile_kind kind)
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

	for (size_t i = 0; i < record->outputs.count; i++)
		if (strcmp(record->outputs.items[i].output.path, path) == 0)
			return command_usage_error(&command_record, "--output: '%s' is given twice", path);
	struct record_output output = {.kind = kind};
	int status = command_open_output(&command_record, path, record->options.format,
					 &output.output);
	if (status == STATUS_OK && array_add(&record->outputs, output) < 0)
		status = command_error(&command_record, "%s", strerror(ENOMEM));
	if (status != STATUS_OK)
		output_close(&output.output);
	return status;
}

/* A file for each kind of profile. */
static int open_kinds(struct record *record, const char *pattern, struct output_names *names)
{
	int status = STATUS_OK;
	for (int kind = 0; kind < PROFILE_KIND_COUNT && status == STATUS_OK; kind++)
		if (record->options.kinds & PROFILE_KIND_BIT(kind))
			status = open_output(record, pattern, names, (enum profile_kind)kind);
	return status;
}

static int open_default(struct record *record, struct output_names *names)
{
	const char *word = record->options.format;
	int format = word ? format_from_word(word) : FILE_FORMAT_PPROF;
	bool is_cpu_alone = record->options.kinds == PROFILE_KIND_BIT(PROFILE_KIND_CPU);
	/* An unknown word is refused with the file. */
	_cleanup_free_ char *pattern =
		text_format("%s%s", is_cpu_alone ? DEFAULT_OUTPUT : DEFAULT_OUTPUT_OF_KIND,
			    format_ending(format < 0 ? FILE_FORMAT_PPROF : (enum file_format)format));
	return pattern ? open_kinds(record, pattern, names)
		       : command_error(&command_record, "%s", strerror(ENOMEM));
}

static int open_outputs(struct record *record)
{
	char host[256] = "host";
	gethostname(host, sizeof(host) - 1);
	struct output_names names = {host, named_pid(record), time(NULL), NULL};
	if (!record->options.outputs.list.count)
		return open_default(record, &names);
	for (size_t i = 0; i < record->options.outputs.list.count; i++) {
		int status = open_kinds(record, record->options.outputs.list.items[i], &names);
		if (status != STATUS_OK)
			return status;
	}
	return STATUS_OK;
}

static bool writes_stdout(const struct record *record)
{
	for (size_t i = 0; i < record->options.outputs.list.count; i++)
		if (strcmp(record->options.outputs.list.items[i], "-") == 0)
			return true;
	return false;
}

/* ---- Victims of a lack of memory ------------------------------------------------------------- */

/* Beside the first output: "oom-PID-NAME-growth.pb.gz". */
static char *victim_path(const struct record *record, const struct recording_victim *victim,
			 enum profile_kind kind)
{
	const char *output = record->outputs.count ? record->outputs.items[0].output.path : "";
	const char *slash = strrchr(output, '/');
	struct text path = {0};
	text_add(&path, "%.*soom-%u-", slash ? (int)(slash + 1 - output) : 0, output, victim->pid);
	for (const char *c = victim->name; *c; c++)
		text_add_char(&path, isalnum((unsigned char)*c) || strchr("._-", *c) ? *c : '_');
	text_add(&path, "-%s.pb.gz", profile_kind_word(kind));
	return text_take(&path);
}

static void write_victim(const struct record *record, const struct recording_victim *victim,
			 enum profile_kind kind)
{
	_cleanup_free_ char *path = victim_path(record, victim, kind);
	struct output output = {.fd = -1};
	if (!path || command_open_output(&command_record, path, NULL, &output) != STATUS_OK) {
		output_close(&output);
		return;
	}
	int r = output_write(&output, victim->profiles[kind]);
	if (r < 0)
		command_error(&command_record, "cannot write %s: %s", path, strerror(-r));
	else
		fprintf(stderr, "\rbolometer record: process %u (%s) was killed for lack of memory: wrote %s\n",
			victim->pid, victim->name, path);
	output_close(&output);
}

static void on_victim(void *userdata, const struct recording_victim *victim)
{
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		if (victim->profiles[kind])
			write_victim(userdata, victim, (enum profile_kind)kind);
}

/* ---- Events while sampling ------------------------------------------------------------------- */

/* Without a command, INT, TERM and HUP end the capture. A command gets its signals and decides for
 * itself; a second INT or TERM ends the capture without waiting for it. */
static int on_signal(struct loop_source *source, uint32_t signal, void *userdata)
{
	struct record *record = userdata;
	bool ends = signal == SIGINT || signal == SIGTERM || signal == SIGHUP;
	record->is_told_to_end |= ends;
	if (record->workload.pid > 0)
		workload_signal(&record->workload, (int)signal, loop_signal_is_from_kernel(source));
	if (ends && (record->workload.pid <= 0 || ++record->interrupts > 1))
		loop_stop(record->loop, 0);
	return 0;
}

static int on_duration(struct loop_source *source, uint32_t events, void *userdata)
{
	loop_stop(((struct record *)userdata)->loop, 0);
	return 0;
}

static int on_workload_end(struct loop_source *source, uint32_t events, void *userdata)
{
	struct record *record = userdata;
	workload_wait(&record->workload);
	loop_remove(source);
	loop_stop(record->loop, 0);
	return 0;
}

static int on_progress(struct loop_source *source, uint32_t events, void *userdata)
{
	struct record *record = userdata;
	struct recording_statistics statistics;
	struct text line = {0};
	recording_get_statistics(record->recording, &statistics);
	summary_progress(&statistics, &line);
	unsigned width = terminal_width(STDERR_FILENO);
	if (line.bytes)
		fprintf(stderr, "\r%.*s\033[K", width ? (int)width - 1 : 80, line.bytes);
	text_free(&line);
	return 0;
}

/* As nohup(1) starts a program, which is to outlive its terminal. An ignored SIGINT is taken nevertheless: shells
 * start what runs in the background so, and a script ends it by that. */
static bool is_hangup_to_ignore(int signal)
{
	struct sigaction now;
	return signal == SIGHUP && sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static int watch_signals(struct record *record)
{
	for (size_t i = 0; i < ARRAY_LENGTH(watched_signals); i++) {
		if (!watched_signals[i].ends_capture && record->workload.pid <= 0)
			continue;
		if (is_hangup_to_ignore(watched_signals[i].number))
			continue;
		int r = loop_add_signal(record->loop, watched_signals[i].number, on_signal, record,
					&record->signals[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static void pass_over(int signal)
{
}

/* From now on they end this process. Where the capture has ended by itself the first one is meant for the capture, and
 * only comes late: the files are written nevertheless. */
static void unwatch_signals(struct record *record)
{
	const struct sigaction once = {.sa_handler = pass_over, .sa_flags = SA_RESETHAND | SA_RESTART};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LENGTH(watched_signals); i++) {
		int number = watched_signals[i].number;
		record->signals[i] = loop_remove(record->signals[i]);
		if (watched_signals[i].ends_capture && !record->is_told_to_end && !is_hangup_to_ignore(number))
			sigaction(number, &once, NULL);
		sigaddset(&set, number);
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int watch(struct record *record)
{
	struct loop_source *source;
	int r = watch_signals(record);
	if (r == 0 && record->workload.pid > 0)
		r = loop_add_fd(record->loop, record->workload.pidfd, EPOLLIN, on_workload_end,
				record, &source);
	if (r == 0 && record->options.pids.list.count && !record->options.children)
		r = awaited_watch(&record->processes, record->loop, record->options.pids.list.items,
				  record->options.pids.list.count);
	if (r == 0 && record->options.duration_ns)
		r = loop_add_timer(record->loop, record->options.duration_ns, 0, on_duration,
				   record, &source);
	if (r == 0 && !record->options.quiet && terminal_can_erase(STDERR_FILENO))
		r = loop_add_timer(record->loop, PROGRESS_INTERVAL_NS, PROGRESS_INTERVAL_NS,
				   on_progress, record, &record->progress);
	return r;
}

/* ---- Start, capture, finish ------------------------------------------------------------------ */

static bool has_format(const struct record *record, enum file_format format)
{
	for (size_t i = 0; i < record->outputs.count; i++)
		if (record->outputs.items[i].output.format == format)
			return true;
	return false;
}

static int prepare(struct record *record)
{
	struct recording_options options;
	struct recording_failure failure = {0};
	uint32_t command_pid = record->workload.pid > 0 ? (uint32_t)record->workload.pid : 0;
	int r = record_options_apply(&record->options, command_pid, &options);
	options.times = options.trace_contexts = options.links = has_format(record, FILE_FORMAT_OTLP);
	options.victim_userdata = record;
	if (options.kinds & PROFILE_KIND_BIT(PROFILE_KIND_GROWTH))
		options.on_victim = on_victim;
	if (r == 0)
		r = loop_new(&record->loop);
	if (r == 0)
		r = recording_new(record->loop, &options, &failure, &record->recording);
	selection_free(&options.selection);
	if (r == 0)
		r = watch(record);
	return r < 0 ? record_failed(&command_record, &failure, r) : STATUS_OK;
}

static int start_workload(struct record *record)
{
	int r = workload_start(&record->workload);
	if (r == 0)
		return STATUS_OK;
	command_error(&command_record, "cannot run '%s': %s", record->command_line[0],
		      strerror(-r));
	workload_wait(&record->workload);
	return workload_exit_status(&record->workload);
}

static int capture(struct record *record)
{
	struct recording_failure failure = {0};
	int r = recording_start(record->recording, &failure);
	if (r < 0)
		return record_failed(&command_record, &failure, r);
	if (record->command_line) {
		int status = start_workload(record);
		if (status != STATUS_OK)
			return status;
	}
	r = awaited_have_ended(&record->processes) ? 0 : loop_run(record->loop);
	if (record->progress)
		fputs("\r\033[K", stderr);
	record->progress = loop_remove(record->progress); /* the command may go on: it is waited for */
	if (awaited_have_ended(&record->processes) && !record->options.quiet)
		fprintf(stderr, "bolometer record: %s\n", record->options.pids.list.count > 1
								  ? "the processes have ended"
								  : "the process has ended");
	if (r == 0)
		r = recording_stop(record->recording);
	if (r < 0)
		return command_error(&command_record, "the capture failed: %s", strerror(-r));
	return STATUS_OK;
}

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

static int write_outputs(struct record *record, struct profile *const profiles[PROFILE_KIND_COUNT],
			 struct text *out)
{
	size_t count = record->outputs.count;
	int status = STATUS_OK;
	_cleanup_free_ struct output_job *jobs = calloc(MAX_OF(count, 1u), sizeof(*jobs));
	if (!jobs)
		return command_error(&command_record, "%s", strerror(ENOMEM));
	for (size_t i = 0; i < count; i++) {
		struct record_output *output = &record->outputs.items[i];
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

static int finish(struct record *record)
{
	struct profile *profiles[PROFILE_KIND_COUNT];
	unwatch_signals(record);
	int r = recording_take_profiles(record->recording, profiles);
	if (r < 0)
		return command_error(&command_record, "cannot make the profile: %s", strerror(-r));
	struct text files = {0}, summary = {0};
	int status = write_outputs(record, profiles, &files);
	struct recording_statistics statistics;
	recording_get_statistics(record->recording, &statistics);
	summary_write(&statistics, profiles, record_frequency(&record->options),
		      terminal_has_colour(STDERR_FILENO), &summary);
	if (!record->options.quiet && summary.bytes)
		fprintf(stderr, "%s%s", summary.bytes, files.bytes ? files.bytes : "");
	text_free(&files);
	text_free(&summary);
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		profile_free(profiles[kind]);
	return status;
}

/* The capture may end before the command: its status is still the one to exit with. */
static int wait_for_workload(struct record *record)
{
	if (!record->workload.ended) {
		fprintf(stderr, "bolometer record: waiting for '%s' (%d) to end\n",
			record->command_line[0], (int)record->workload.pid);
		if (watch_signals(record) == 0)
			loop_run(record->loop);
	}
	return record->workload.ended ? workload_exit_status(&record->workload) : 128 + SIGINT;
}

static int record_run(int argc, char **argv)
{
	_cleanup_record_ struct record record = {.options = RECORD_OPTIONS_DEFAULT,
						 .workload = WORKLOAD_NULL};
	struct option_words words = {0};
	int status;
	bool go = command_parse(&command_record, &record.options, argc, argv, &words, &status);
	record.command_line = words.rest;
	option_words_free(&words);
	if (!go)
		return status;
	status = record_options_check(&command_record, &record.options, record.command_line);
	if (status != STATUS_OK)
		return status;
	if (record.options.verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	if (record.command_line) {
		int r = workload_fork(&record.workload, record.command_line,
				      writes_stdout(&record));
		if (r < 0)
			return command_error(&command_record, "cannot fork: %s", strerror(-r));
	}
	if ((status = open_outputs(&record)) != STATUS_OK ||
	    (status = prepare(&record)) != STATUS_OK || (status = capture(&record)) != STATUS_OK)
		return status;
	status = finish(&record);
	if (!record.command_line)
		return status;
	int workload_status = wait_for_workload(&record);
	return workload_status ? workload_status : status;
}

const struct command command_record = {
	.name = "record",
	.arguments = "[options] [-- CMD [ARG...]]",
	.summary = "profile the CPU time, or the memory, of this host, of processes, or of a command",
	.details = "With '-- CMD' the exit status is the command's, 128 + N if signal N ended it,\n"
		   "127 if it was not found, 126 if it could not be run.",
	.options = record_option_specs,
	.max_words = 0,
	.takes_rest = true,
	.run = record_run,
};
