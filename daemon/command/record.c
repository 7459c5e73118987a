/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bolometer record`. Order matters: the command of `-- CMD` is forked before signals are blocked
 * and waits for sampling to start; outputs are opened before anything is loaded, so that a full
 * disk is known at once; while the profile is made, Ctrl-C has its default meaning again, and an
 * unfinished output has no name yet.
 */
#include "base/clock.h"
#include "base/log.h"
#include "command/awaited.h"
#include "command/record_outputs.h"
#include "command/record_summary.h"
#include "command/terminal.h"
#include "command/workload.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PROGRESS_INTERVAL_NS (500 * NS_PER_MS)

static const struct {
	int number;
	bool ends_capture; /* the others are caught only to be passed on to a command */
} watched_signals[] = {
	{SIGINT, true},	  {SIGTERM, true},  {SIGHUP, true},
	{SIGQUIT, false}, {SIGUSR1, false}, {SIGUSR2, false},
};

struct record {
	struct record_options options;
	char **command_line; /* NULL: none */
	struct loop *loop;
	struct recording *recording;
	struct workload workload;
	struct awaited processes; /* of --pid */
	struct record_outputs outputs;
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
	record_outputs_close(&record->outputs);
	record_options_free(&record->options);
}

#define _cleanup_record_ _cleanup_(record_free)

static uint32_t named_pid(const struct record *record)
{
	if (record->workload.pid > 0)
		return (uint32_t)record->workload.pid;
	return record->options.pids.list.count == 1 ? record->options.pids.list.items[0]
						    : (uint32_t)getpid();
}

static bool writes_stdout(const struct record *record)
{
	for (size_t i = 0; i < record->options.outputs.list.count; i++)
		if (strcmp(record->options.outputs.list.items[i], "-") == 0)
			return true;
	return false;
}

/* ---- Events while sampling ------------------------------------------------------------------- */

static void on_victim(void *userdata, const struct recording_victim *victim)
{
	record_outputs_write_victim(&((struct record *)userdata)->outputs, victim);
}

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

static int prepare(struct record *record)
{
	struct recording_options options;
	struct recording_failure failure = {0};
	uint32_t command_pid = record->workload.pid > 0 ? (uint32_t)record->workload.pid : 0;
	int r = record_options_apply(&record->options, command_pid, &options);
	options.times = options.trace_contexts = options.links = record_outputs_have(&record->outputs, FILE_FORMAT_OTLP);
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
		command_tell(&command_record, "%s", record->options.pids.list.count > 1 ? "the processes have ended"
											 : "the process has ended");
	if (r == 0)
		r = recording_stop(record->recording);
	if (r < 0)
		return command_error(&command_record, "the capture failed: %s", strerror(-r));
	return STATUS_OK;
}

static int finish(struct record *record)
{
	struct profile *profiles[PROFILE_KIND_COUNT];
	unwatch_signals(record);
	int r = recording_take_profiles(record->recording, profiles);
	if (r < 0)
		return command_error(&command_record, "cannot make the profile: %s", strerror(-r));
	struct text files = {0}, summary = {0};
	int status = record_outputs_write(&record->outputs, profiles, &files);
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
		command_tell(&command_record, "waiting for '%s' (%d) to end", record->command_line[0],
			     (int)record->workload.pid);
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
	if ((status = record_outputs_open(&record.outputs, &record.options, named_pid(&record))) != STATUS_OK ||
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
