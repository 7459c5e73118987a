/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `record`, and what they mean for a recording. */
#pragma once

#include "command/command.h"
#include "profile/recording.h"

struct record_options {
	bool all, children, kernel_only, user_only;
	struct option_numbers pids;
	struct option_texts comms, executables, cgroups, outputs;
	uint64_t frequency;   /* Hz */
	uint64_t duration_ns; /* 0: until told to stop */
	uint64_t max_frames;  /* 0: default */
	const char *format;
	bool symbolize, inlines, labels, cache, quiet, verbose, ignore_kernel_bugs;
};

#define RECORD_OPTIONS_DEFAULT                                                                     \
	{                                                                                          \
		.frequency = 99, .symbolize = true, .inlines = true, .labels = true, .cache = true \
	}

extern const struct option_spec record_option_specs[];

/* Do the options go together, with or without a command? STATUS_OK, or an error was printed. */
int record_options_check(const struct record_options *options, char **command_line);

/* Fills *ret; its selection is the caller's to free. `command_pid` 0: none. Returns 0 or -ENOMEM.
 */
int record_options_apply(const struct record_options *options, uint32_t command_pid,
			 struct recording_options *ret);

void record_options_free(struct record_options *options);
