/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bolometer top`: its options, the choice between a recording of its own and the daemon's, and the output
 * for files and programs. The terminal is top_screen.c's.
 */
#include "command/top.h"

#include "base/clock.h"
#include "base/log.h"
#include "command/command.h"
#include "command/daemon_client.h"
#include "command/top_screen.h"
#include "command/top_text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define DEFAULT_DELAY_NS (2 * NS_PER_SECOND)
#define DEFAULT_ROWS 20 /* of a block of text or a list of JSON */
#define MIN_DELAY_NS (100 * NS_PER_MS)
#define MAX_DELAY_NS (600 * NS_PER_SECOND)

#define AT(field) offsetof(struct top_options, field)
#define RECORD_AT(field) (AT(record) + offsetof(struct record_options, field))

static const struct option_spec top_specs[] = {
	OPTIONS_UNDER("What to show"),
	OPTION(TEXT, 0, "view", "NAME", AT(view),
	       "functions (default), processes, threads, containers or stacks"),
	OPTION(TEXT, 's', "sort", "ORDER", AT(order),
	       "self (default), total or name; of a process, self is its time in\nuser code"),
	OPTION(TEXT, 0, "filter", "TEXT", AT(filter),
	       "only rows with this in their name, in upper or lower case"),
	OPTION(DURATION, 'd', "delay", "TIME", AT(delay_ns),
	       "length of an interval (default 2s); the daemon's are whole seconds"),
	OPTIONS_UNDER("For files and programs"),
	OPTION(FLAG, 'b', "batch", NULL, AT(batch), "plain text, one block an interval"),
	OPTION(FLAG, 0, "json", NULL, AT(json),
	       "one JSON object a line and interval, with all views unless --view\nnames one"),
	OPTION(NUMBER, 'n', "intervals", "N", AT(intervals), "end after N intervals", .low = 1,
	       .high = UINT32_MAX),
	OPTION(NUMBER, 0, "rows", "N", AT(rows), "at most N rows, 0 for all (default 20)",
	       .high = UINT32_MAX),
	OPTIONS_UNDER("Where the samples come from: the running daemon if it answers; with --own, "
		      "a selection\nor --frequency, or without a daemon, a recording of its own"),
	DAEMON_SOCKET_OPTION(AT(socket)),
	OPTION(FLAG, 0, "own", NULL, AT(own), "a recording of its own in any case"),
	SELECTION_OPTIONS(AT(record)),
	OPTION(NUMBER, 'F', "frequency", "HZ", RECORD_AT(frequency),
	       "samples a second and CPU (default 99)", .low = 1, .high = MAX_FREQUENCY),
	OPTION(FLAG, 0, "ignore-kernel-bugs", NULL, RECORD_AT(ignore_kernel_bugs),
	       "no safe mode on a kernel that is known to hang"),
	OPTIONS_END,
};

static const struct command *const self = &command_top;

/* ---- Options --------------------------------------------------------------------------------------- */

static int find_word(const char *option, const char *word, const char *const *words, size_t count,
		     size_t *ret)
{
	struct text all = {0};
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i], word) == 0) {
			text_free(&all);
			*ret = i;
			return STATUS_OK;
		}
		text_add(&all, "%s%s", i ? ", " : "", words[i]);
	}
	int status = command_usage_error(self, "--%s: '%s' is none of %s", option, word,
					 all.bytes ? all.bytes : "");
	text_free(&all);
	return status;
}

static bool wants_own(const struct top_options *options)
{
	return options->own || options->record.frequency || options->record.ignore_kernel_bugs ||
	       record_options_select(&options->record);
}

static int check_options(struct top *top)
{
	struct top_options *options = &top->options;
	size_t view = TOP_FUNCTIONS, order = TOP_BY_SELF;
	int status = STATUS_OK;
	if (options->view)
		status = find_word("view", options->view, top_view_names, TOP_VIEW_MAX, &view);
	if (status == STATUS_OK && options->order)
		status = find_word("sort", options->order, top_order_names, TOP_ORDER_MAX, &order);
	if (status != STATUS_OK)
		return status;
	top->question = (struct top_question){
		.view = (enum top_view)view, .order = (enum top_order)order, .filter = options->filter};
	if (options->delay_ns < MIN_DELAY_NS || options->delay_ns > MAX_DELAY_NS)
		return command_usage_error(self, "--delay: an interval is 100ms to 10m long");
	if (options->socket && wants_own(options))
		return command_usage_error(self, "--socket asks the daemon, which goes with no "
						 "selection, --frequency or --own");
	return record_options_check(self, &options->record, NULL);
}

/* ---- The source ------------------------------------------------------------------------------------ */

static int open_own(struct top *top, const struct top_source_options *options,
		    struct recording_failure *failure)
{
	struct recording_options recording;
	int r = record_options_apply(&top->options.record, 0, &recording);
	if (r == 0)
		r = top_source_new_own(top->loop, options, &recording, failure, &top->source);
	selection_free(&recording.selection);
	snprintf(top->source_name, sizeof(top->source_name), "%s",
		 record_options_select(&top->options.record) ? "what was selected" : "this host");
	return r;
}

/* Only a daemon that was asked for by name must be there. */
static int open_source(struct top *top, top_source_callback callback,
		       struct recording_failure *failure)
{
	const struct top_options *options = &top->options;
	const char *path = daemon_client_socket(options->socket);
	struct top_source_options source = {options->delay_ns, options->intervals, callback, top};
	if (wants_own(options) || (!options->socket && access(path, F_OK) < 0))
		return open_own(top, &source, failure);
	int r = top_source_new_daemon(top->loop, &source, path, failure, &top->source);
	if (r == 0) {
		snprintf(top->source_name, sizeof(top->source_name), "the daemon at %s", path);
		return 0;
	}
	if (options->socket || r == -ENOMEM)
		return r;
	log_debug("%s; a recording of its own instead", failure->text);
	failure->text[0] = '\0';
	return open_own(top, &source, failure);
}

/* ---- For files and programs ------------------------------------------------------------------------ */

static int write_interval(struct top *top, const struct profile *profile, struct text *out)
{
	struct top_facts facts;
	size_t rows = top->options.rows;
	top_facts_read(profile, &facts);
	if (top->options.json)
		return top_json_object(profile, &facts, &top->question, !top->options.view,
				       top->source_name, top->cpus, rows, out);
	struct top_table table;
	int r = top_table_build(profile, &top->question, &table);
	if (r == 0)
		top_text_block(&top->question, &table, &facts, top->source_name, top->cpus, rows,
			       out);
	top_table_free(&table);
	return r < 0 ? r : out->failed ? -ENOMEM : 0;
}

static int on_batch_profile(struct profile *profile, const char *problem, void *userdata)
{
	struct top *top = userdata;
	struct text out = {0};
	if (!profile) {
		snprintf(top->problem, sizeof(top->problem), "%s", problem);
		return -EIO;
	}
	int r = write_interval(top, profile, &out);
	profile_free(profile);
	if (r < 0)
		snprintf(top->problem, sizeof(top->problem), "%s", strerror(-r));
	else if (fwrite(out.bytes, 1, out.length, stdout) < out.length || fflush(stdout) != 0) {
		r = -errno;
		snprintf(top->problem, sizeof(top->problem), "cannot write to standard output: %s", strerror(-r));
	}
	text_free(&out);
	if (r == 0 && ++top->intervals == top->options.intervals)
		loop_stop(top->loop, 0);
	return r;
}

static int on_end_signal(struct loop_source *source, uint32_t signal, void *userdata)
{
	loop_stop(((struct top *)userdata)->loop, 0);
	return 0;
}

/* Whoever read the output has gone. */
static int on_output_closed(struct loop_source *source, uint32_t events, void *userdata)
{
	loop_stop(((struct top *)userdata)->loop, -EPIPE);
	return 0;
}

static int watch_batch(struct top *top)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct loop_source *source;
	int r = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(signals) && r == 0; i++)
		r = loop_add_signal(top->loop, signals[i], on_end_signal, top, &source);
	if (r == 0)
		r = loop_add_fd(top->loop, STDOUT_FILENO, 0, on_output_closed, top, &source);
	return r == -EPERM ? 0 : r; /* a file cannot be watched, and needs not */
}

static int run_batch(struct top *top)
{
	struct recording_failure failure = {{0}};
	signal(SIGPIPE, SIG_IGN);
	int r = watch_batch(top);
	if (r == 0)
		r = open_source(top, on_batch_profile, &failure);
	if (r == 0)
		r = top_source_start(top->source, &failure);
	if (r < 0)
		return record_failed(self, &failure, r);
	r = loop_run(top->loop);
	if (r == -EPIPE)
		return STATUS_OK; /* it had seen enough */
	if (r < 0)
		return command_error(self, "%s", top->problem[0] ? top->problem : strerror(-r));
	return STATUS_OK;
}

/* ---- The command ----------------------------------------------------------------------------------- */

static int run_screen(struct top *top)
{
	struct recording_failure failure = {{0}};
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return command_usage_error(
			self, "standard input and output are no terminal; for text: --batch, for "
			      "programs: --json");
	int r = open_source(top, top_screen_profile, &failure);
	return r < 0 ? record_failed(self, &failure, r) : top_screen_run(top);
}

static int run_on_loop(struct top *top)
{
	int r = loop_new(&top->loop);
	if (r < 0)
		return command_error(self, "%s", strerror(-r));
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	top->cpus = cpus > 0 ? (unsigned)cpus : 1;
	int status = top->options.batch || top->options.json ? run_batch(top) : run_screen(top);
	top_source_free(top->source);
	loop_free(top->loop);
	return status;
}

static int top_run(int argc, char **argv)
{
	struct top top = {.options = {.record = RECORD_OPTIONS_DEFAULT,
				      .delay_ns = DEFAULT_DELAY_NS,
				      .rows = DEFAULT_ROWS}};
	struct option_words words = {0};
	int status;
	bool go = command_parse(self, &top.options, argc, argv, &words, &status);
	if (go && (status = check_options(&top)) == STATUS_OK)
		status = run_on_loop(&top);
	option_words_free(&words);
	record_options_free(&top.options.record);
	return status;
}

const struct command command_top = {
	.name = "top",
	.arguments = "[options]",
	.summary = "watch live which functions, processes, threads and containers use the CPUs",
	.details = "On the terminal '?' shows the keys.",
	.options = top_specs,
	.run = top_run,
};
