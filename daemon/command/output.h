/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that a command writes a profile to. Everything that can be known to fail is found when the
 * output is opened, before a capture starts: the format, the directory, its permissions, its space.
 *
 * A regular file is written under no name and gets its own when it is complete, so a reader sees
 * the old contents or the new, and an aborted capture leaves nothing behind.
 */
#pragma once

#include "base/text.h"
#include "command/command.h"
#include "format/formats.h"
#include "profile/profile.h"

#include <time.h>

struct output {
	enum file_format format;
	char *path;	 /* "-": standard output */
	char *temporary; /* name until complete; NULL: the file has none yet, or is no regular file
			  */
	int fd;
	bool is_regular; /* replaced when complete; otherwise written in place */
	uint64_t bytes;	 /* written */
};

/* What %h, %p, %t and %e in a name stand for. */
struct output_names {
	const char *host;
	uint32_t pid;
	time_t start;
	const char *kind; /* "cpu" */
};

/* Replaces %h, %p, %t (20261123-101500, local time), %e and %%. Returns 0, -EINVAL at any other %, or
 * -ENOMEM. The caller frees *ret. */
int output_expand(const char *pattern, const struct output_names *names, char **ret);

/* Has the name a %e, so that profiles of several kinds get names that differ? */
bool output_tells_kind(const char *pattern);

/*
 * Opens `path`; `format_word` (NULL: none) decides where the extension does not. On failure returns
 * -errno with a message for people in *error.
 */
int output_open(struct output *output, const char *path, const char *format_word,
		struct text *error);

/* output_open() that prints its error. Returns STATUS_OK, STATUS_ERROR or STATUS_USAGE. Close in every
 * case. */
int command_open_output(const struct command *command, const char *path, const char *format_word,
			struct output *output);

/* The same for a command that writes nothing but flame graphs: a file's name must end as one of theirs. */
int command_open_page(const struct command *command, const char *path, struct output *output);

/* How messages call a file to write: its path, or "standard output" for "-". */
const char *output_title(const char *path);

/* Why output_write() failed with `error`, for people: strerror(3)'s words, or what a format cannot hold. */
const char *output_error(int error);

/* Encodes the profile in the output's format and gives the file its name. Returns 0 or -errno. */
int output_write(struct output *output, const struct profile *profile);

/* The same with bytes that are encoded already. */
int output_write_bytes(struct output *output, const struct text *bytes);

/* Releases; what was not written completely leaves no file. */
void output_close(struct output *output);
