/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands a person types, and what they share: the exit statuses, the front end of the option
 * parser, and how errors look.
 */
#pragma once

#include "command/options.h"

enum exit_status {
	STATUS_OK = 0,
	STATUS_ERROR = 1,
	STATUS_USAGE = 2,
	STATUS_UNSUPPORTED = 3, /* no permission, or a kernel that can't do it */
};

struct command {
	const char *name;
	const char *arguments; /* for the usage line: "[options] FILE" */
	const char *summary;   /* one line */
	const char *details;   /* further help after the options; NULL: none */
	const struct option_spec *options;
	unsigned min_words, max_words;
	bool takes_rest; /* understands "-- CMD"; otherwise words after "--" are further words */
	int (*run)(int argc, char **argv);
};

extern const struct command command_record, command_report, command_flame, command_diff,
	command_convert, command_merge, command_doctor, command_check_config,
	command_daemon, command_status, command_start, command_stop, command_reset, command_dump,
	command_top;

/* Runs the command that argv[1] names. Returns the process's exit status. */
int command_main(int argc, char **argv);

/* All commands, in the order help shows them. */
const struct command *const *command_list(size_t *ret_count);

/*
 * Parses argv of `command` into its options struct. Returns true to go on. Otherwise help or an
 * error has been printed and *ret_status is the exit status. Free `words` in both cases.
 */
bool command_parse(const struct command *command, void *target, int argc, char **argv,
		   struct option_words *words, int *ret_status);

/* Prints "bolometer COMMAND: message" on standard error, one line without control characters: it may hold what somebody's
 * file says. */
void command_tell(const struct command *command, const char *format, ...) _printf_(2, 3);

/* As command_tell(), and where to get help. Returns STATUS_USAGE. */
int command_usage_error(const struct command *command, const char *format, ...) _printf_(2, 3);

/* As command_tell(). Returns STATUS_ERROR. */
int command_error(const struct command *command, const char *format, ...) _printf_(2, 3);

/* The exit status of a capture that ended in `r`, 0 or -errno: what this user may not or this kernel cannot do is told from
 * other failures. */
int command_capture_status(int r);

/* Writes the text to standard output and frees it. Notices a full disk, which printf would hide.
 * Returns STATUS_OK or STATUS_ERROR. */
int command_print(struct text *text);
