/* SPDX-License-Identifier: Apache-2.0 */
/* `bolometer doctor`: the command itself. */
#include "command/doctor.h"

#include "command/command.h"
#include "command/terminal.h"

#include <stdio.h>
#include <unistd.h>

struct doctor_options {
	bool json;
};

static const struct option_spec specs[] = {
	OPTION(FLAG, 0, "json", NULL, offsetof(struct doctor_options, json), "machine-readable"),
	OPTIONS_END,
};

static int doctor_run(int argc, char **argv)
{
	struct doctor_options options = {0};
	struct option_words words = {0};
	int status;
	bool go = command_parse(&command_doctor, &options, argc, argv, &words, &status);
	option_words_free(&words);
	if (!go)
		return status;

	struct doctor_facts facts;
	struct doctor_trials trials;
	struct findings findings = {0};
	struct text out = {0};
	doctor_read_facts("", &facts);
	doctor_run_trials(&trials);
	int r = doctor_judge(&facts, &trials, &findings);
	if (options.json)
		doctor_write_json(&facts, &findings, &out);
	else
		doctor_write_text(&findings, terminal_has_colour(STDOUT_FILENO), &out);
	status = r < 0 ? STATUS_ERROR : doctor_status(&findings);
	array_free(&findings.list);
	return command_print(&out) == STATUS_OK ? status : STATUS_ERROR;
}

const struct command command_doctor = {
	.name = "doctor",
	.arguments = "[options]",
	.summary = "what this host and this user lack for profiling, and how to mend it",
	.details = "Exit status: 0 profiling is possible, 3 it is not.",
	.options = specs,
	.run = doctor_run,
};
