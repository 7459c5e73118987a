/* SPDX-License-Identifier: Apache-2.0 */
/* `bolometer doctor`: the command itself. */
#include "command/doctor.h"

#include "command/command.h"
#include "command/doctor_memory.h"
#include "command/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct doctor_options {
	bool json;
	uint64_t memory; /* a process; 0: none */
	const char *budget;
};

static const struct option_spec specs[] = {
	OPTION(FLAG, 0, "json", NULL, offsetof(struct doctor_options, json), "machine-readable"),
	OPTION(NUMBER, 0, "memory", "PID", offsetof(struct doctor_options, memory),
	       "how an allocation profile of this process would be taken, and at\n"
	       "what cost; counts its allocations for a moment",
	       .low = 1, .high = UINT32_MAX / 2),
	OPTION(TEXT, 0, "heap-budget", "PERCENT", offsetof(struct doctor_options, budget),
	       "with --memory: what the profile may cost of the process's own\n"
	       "CPU time (1%)"),
	OPTIONS_END,
};

/* "1%", "0.5%" or "1" as a share. */
static bool parse_percent(const char *text, double *ret)
{
	char *end;
	double percent = strtod(text, &end);
	if (end == text || (*end && strcmp(end, "%") != 0) || !(percent > 0 && percent <= 100))
		return false;
	*ret = percent / 100;
	return true;
}

static int examine_memory(const struct doctor_options *options)
{
	struct doctor_memory memory;
	struct text out = {0};
	double budget = 0.01;
	if (options->budget && !parse_percent(options->budget, &budget))
		return command_usage_error(&command_doctor, "--heap-budget %s: no percentage, as 1%%",
					   options->budget);
	int r = doctor_memory_read((uint32_t)options->memory, &memory);
	if (r < 0) {
		bool is_refused = r == -EACCES || r == -EPERM;
		doctor_memory_free(&memory);
		command_error(&command_doctor, "process %llu: %s%s", (unsigned long long)options->memory,
			      r == -ESRCH ? "there is none" : strerror(-r),
			      is_refused ? ". Run as its user, as root, or with the capability SYS_PTRACE" : "");
		return is_refused ? STATUS_UNSUPPORTED : STATUS_ERROR;
	}
	memory.budget = budget;
	doctor_memory_count(&memory);
	doctor_memory_judge(&memory);
	if (options->json)
		doctor_memory_write_json(&memory, &out);
	else
		doctor_memory_write_text(&memory, &out);
	doctor_memory_free(&memory);
	return command_print(&out);
}

static int doctor_run(int argc, char **argv)
{
	struct doctor_options options = {0};
	struct option_words words = {0};
	int status;
	bool go = command_parse(&command_doctor, &options, argc, argv, &words, &status);
	option_words_free(&words);
	if (!go)
		return status;
	if (options.budget && !options.memory)
		return command_usage_error(&command_doctor, "--heap-budget needs --memory");
	if (options.memory)
		return examine_memory(&options);

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
