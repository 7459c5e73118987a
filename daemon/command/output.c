/* SPDX-License-Identifier: Apache-2.0 */
/* Owns an output file from its name to its last byte; see output.h for the promise. */
#include "command/output.h"

#include "base/file.h"
#include "command/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVED_BYTES (256 * 1024) /* free space that must be there before a capture starts */

static int choose_format(struct output *output, const char *word, struct text *error)
{
	int named = word ? format_from_word(word) : FILE_FORMAT_PPROF;
	if (named < 0) {
		text_add(error, "unknown format '%s'; there are " FORMAT_WORDS, word);
		return -EINVAL;
	}
	int format = format_from_path(output->path);
	output->format = (enum file_format)(format < 0 ? named : format);
	if (format >= 0 || word)
		return 0;
	if (strcmp(output->path, "-") == 0)
		return 0;
	struct stat facts; /* a pipe or device has no extension to read */
	if (stat(output->path, &facts) == 0 && !S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode))
		return 0;
	text_add(error, "%s: the extension names no format; use one of " FORMAT_ENDINGS
		 " or --format",
		 output->path);
	return -EINVAL;
}

static int open_stdout(struct output *output, struct text *error)
{
	if (isatty(STDOUT_FILENO) &&
	    (output->format == FILE_FORMAT_PPROF || output->format == FILE_FORMAT_PPROF_RAW ||
	     output->format == FILE_FORMAT_OTLP || output->format == FILE_FORMAT_HTML)) {
		text_add_string(error,
				"a profile is not written to a terminal; use a pipe or -o FILE");
		return -EINVAL;
	}
	output->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return output->fd < 0 ? -errno : 0;
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* In the same directory, and no longer than a name may be, however long the file's own is. */
static char *temporary_name(const struct output *output)
{
	static _Atomic unsigned number; /* outputs are written by threads */
	const char *slash = strrchr(output->path, '/');
	int directory = slash ? (int)(slash + 1 - output->path) : 0;
	return text_format("%.*s.bolometer-%d-%u.tmp", directory, output->path, (int)getpid(), number++);
}

/* Takes O_TMPFILE where the file system has it, so that even a killed capture leaves nothing. */
static int open_regular(struct output *output)
{
	_cleanup_free_ char *directory = directory_of(output->path);
	if (!directory)
		return -ENOMEM;
	if (access(output->path, F_OK) == 0 && access(output->path, W_OK) < 0)
		return -errno;
	output->is_regular = true;
	output->fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
	if (output->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return -errno;
	output->temporary = temporary_name(output);
	if (!output->temporary)
		return -ENOMEM;
	output->fd = open(output->temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
	return output->fd < 0 ? -errno : 0;
}

/* A full disk is known now, not when the capture is over. */
static int check_space(int fd)
{
	if (fallocate(fd, 0, 0, RESERVED_BYTES) < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	return ftruncate(fd, 0) < 0 ? -errno : 0;
}

static int open_path(struct output *output)
{
	struct stat facts;
	bool exists = stat(output->path, &facts) == 0;
	if (!exists && errno != ENOENT)
		return -errno;
	if (exists && S_ISDIR(facts.st_mode))
		return -EISDIR;
	if (exists && !S_ISREG(facts.st_mode)) {
		output->fd = open(output->path, O_WRONLY | O_CLOEXEC);
		return output->fd < 0 ? -errno : 0;
	}
	int r = open_regular(output);
	return r < 0 ? r : check_space(output->fd);
}

const char *output_title(const char *path)
{
	return strcmp(path, "-") == 0 ? "standard output" : path;
}

const char *output_error(int error)
{
	return error == -ENODATA ? "the profile has no samples, and OTLP has no way to say so" : strerror(-error);
}

int output_open(struct output *output, const char *path, const char *format_word,
		struct text *error)
{
	*output = (struct output){.fd = -1, .path = strdup(path)};
	if (!output->path)
		return -ENOMEM;
	int r = choose_format(output, format_word, error);
	if (r == 0)
		r = strcmp(path, "-") == 0 ? open_stdout(output, error) : open_path(output);
	if (r < 0 && !error->length)
		text_add(error, "cannot write %s: %s", output_title(path), strerror(-r));
	return r;
}

int command_open_output(const struct command *command, const char *path, const char *format_word,
			struct output *output)
{
	struct text error = {0};
	int status = STATUS_OK;
	int r = output_open(output, path, format_word, &error);
	if (r < 0)
		status = command_error(command, "%s", error.bytes ? error.bytes : strerror(-r));
	if (r == -EINVAL)
		status = STATUS_USAGE;
	text_free(&error);
	return status;
}

int command_open_page(const struct command *command, const char *path, struct output *output)
{
	int status = command_open_output(command, path, "html", output);
	bool has_ending = format_from_path(path) == FILE_FORMAT_HTML;
	if (status == STATUS_OK && output->is_regular && !has_ending)
		status = command_usage_error(command, "%s: a flame graph is a page for the browser: its "
						      "name ends in .html", path);
	return status;
}

/* Links a nameless file to a temporary name; rename then replaces what is there. */
static int name_temporary(struct output *output)
{
	char link_path[64];
	snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", output->fd);
	_cleanup_free_ char *name = temporary_name(output);
	if (!name)
		return -ENOMEM;
	if (linkat(AT_FDCWD, link_path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	output->temporary = take_pointer(name);
	return 0;
}

static int give_name(struct output *output)
{
	int r = output->temporary ? 0 : name_temporary(output);
	if (r < 0)
		return r;
	if (rename(output->temporary, output->path) < 0)
		return -errno;
	free(take_pointer(output->temporary));
	return 0;
}

int output_write_bytes(struct output *output, const struct text *bytes)
{
	if (bytes->failed)
		return -ENOMEM;
	int r = write_all(output->fd, bytes->bytes, bytes->length);
	output->bytes = bytes->length;
	return r == 0 && output->is_regular ? give_name(output) : r;
}

/* The heading of a page: among several in a browser each says which it is. */
static const char *title_of(const struct output *output)
{
	const char *slash = strrchr(output->path, '/');
	return strcmp(output->path, "-") == 0 ? NULL : slash ? slash + 1 : output->path;
}

int output_write(struct output *output, const struct profile *profile)
{
	struct text bytes = {0};
	int r = encode_profile(output->format, profile, title_of(output), &bytes);
	if (r == 0)
		r = output_write_bytes(output, &bytes);
	text_free(&bytes);
	return r;
}

void output_close(struct output *output)
{
	if (output->temporary)
		unlink(output->temporary);
	free(take_pointer(output->temporary));
	free(take_pointer(output->path));
	output->fd = close_fd(output->fd);
}
