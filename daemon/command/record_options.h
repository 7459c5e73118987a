/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `record`, and what they mean for a recording. */
#pragma once

#include "command/command.h"
#include "profile/recording.h"

struct record_options {
	bool all, children, kernel_only, user_only;
	struct option_numbers pids;
	struct option_texts comms, executables, cgroups, outputs;
	uint64_t frequency;   /* Hz; 0: not said, record_frequency() */
	uint64_t duration_ns; /* 0: until told to stop */
	uint64_t max_frames;  /* 0: default */
	uint64_t heap_interval; /* bytes; 0: default */
	uint64_t heap_budget_ppm; /* 0: default */
	uint64_t heap_objects;	/* 0: default */
	uint64_t heap_processes; /* 0: default */
	uint64_t heap_age_ns; /* 0: HEAP_AGE_NS */
	uint64_t max_memory; /* bytes; 0: no budget */
	uint64_t max_cpu_ppm; /* of the host's CPU time; 0: no budget */
	const char *events; /* as profile_kinds_parse() reads them */
	const char *format;
	unsigned kinds; /* of the events, by record_options_check() */
	bool symbolize, inlines, labels, cache, quiet, verbose, ignore_kernel_bugs, safe_mode, exact;
};

#define MAX_FREQUENCY 10000 /* Hz */
#define DEFAULT_FREQUENCY 99
#define HEAP_AGE_NS 1000000000ULL

#define RECORD_OPTIONS_DEFAULT                                                                     \
	{                                                                                          \
		.events = "cpu", .symbolize = true, .inlines = true, \
		.labels = true, .cache = true                                                      \
	}

/* Rows for the option table of a command that selects as `record` does; `at` is the offset of its
 * struct record_options. */
#define SELECTION_OPTIONS(at)                                                                      \
	OPTION(NUMBER_LIST, 'p', "pid", "PID[,PID]", (at) + offsetof(struct record_options, pids), \
	       "these processes, future threads too", .low = 1, .high = INT32_MAX),                \
	OPTION(FLAG, 0, "children", NULL, (at) + offsetof(struct record_options, children),        \
	       "with --pid: also what they start from now on"),                                    \
	OPTION(TEXT_LIST, 0, "comm", "GLOB", (at) + offsetof(struct record_options, comms),        \
	       "threads by name: 'nginx*'"),                                                       \
	OPTION(TEXT_LIST, 0, "exe", "GLOB", (at) + offsetof(struct record_options, executables),   \
	       "processes by executable, path or base name"),                                      \
	OPTION(TEXT_LIST, 0, "cgroup", "PATH", (at) + offsetof(struct record_options, cgroups),    \
	       "a cgroup with everything below it"),                                               \
	OPTION(FLAG, 0, "kernel-only", NULL, (at) + offsetof(struct record_options, kernel_only),  \
	       "only ticks in kernel code"),                                                       \
	OPTION(FLAG, 0, "user-only", NULL, (at) + offsetof(struct record_options, user_only),      \
	       "only ticks in user code")

extern const struct option_spec record_option_specs[];

/* Is any process, thread, cgroup or kind of tick asked for? */
bool record_options_select(const struct record_options *options);

/* Samples a second and CPU: what was asked for, or the default. */
uint32_t record_frequency(const struct record_options *options);

/* Do the options go together, with or without a command line? STATUS_OK, or `command` printed an
 * error. */
int record_options_check(const struct command *command, struct record_options *options,
			 char **command_line);

/* Prints why a recording could not begin. Returns the exit status that says whether rights or the
 * kernel are the reason. */
int record_failed(const struct command *command, const struct recording_failure *failure, int error);

/* Fills *ret; its selection is the caller's to free. `command_pid` 0: none. Returns 0 or -ENOMEM.
 */
int record_options_apply(const struct record_options *options, uint32_t command_pid,
			 struct recording_options *ret);

void record_options_free(struct record_options *options);
