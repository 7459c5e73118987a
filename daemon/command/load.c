/* SPDX-License-Identifier: Apache-2.0 */
/* See load.h. */
#include "command/load.h"

#include "base/arithmetic.h"
#include "base/file.h"
#include "format/folded.h"
#include "format/formats.h"
#include "format/gzip.h"
#include "format/pprof.h"
#include "profile/filter.h"
#include "profile/grouping.h"
#include "profile/unit.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file past this is no profile a person looks at: 10,000 Hz on 64 CPUs for an hour is less. */
#define MAX_FILE_BYTES (1ULL << 30)
#define LOOKED_AT_BYTES 4096 /* to tell text from pprof */

static int open_input(const char *path)
{
	struct stat facts;
	if (strcmp(path, "-") == 0)
		return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &facts) < 0)
		return -errno;
	return S_ISDIR(facts.st_mode) ? -EISDIR : take_fd(fd);
}

static int read_input(const char *path, char **ret_bytes, size_t *ret_size)
{
	_cleanup_fd_ int fd = open_input(path);
	return fd < 0 ? fd : read_whole_fd(fd, MAX_FILE_BYTES, ret_bytes, ret_size);
}

static const char *input_name(const char *path)
{
	return strcmp(path, "-") == 0 ? "standard input" : path;
}

/* What people hand over that is no profile, by how it begins, and what to do instead. */
static const struct {
	const char *beginning, *what;
} known_others[] = {
	{"PERFILE2", "it is a recording of perf: 'perf script', folded by stackcollapse-perf.pl, can be read"},
	{"heap_v2/", "it is a heap profile of jemalloc: 'jeprof --collapsed PROGRAM FILE' makes folded stacks of it"},
	{"heap profile:", "it is of gperftools: 'go tool pprof -proto PROGRAM FILE' makes a pprof file of it"},
	{"<!DOCTYPE html", "it is a page for the browser; what it was drawn from can be read"},
	{"<html", "it is a page for the browser; what it was drawn from can be read"},
	{"<?xml", "it is a picture or XML; what it was drawn from can be read"},
	{"{\"", "it is JSON, such as speedscope's; pprof and folded stacks can be read"},
	{"{\n", "it is JSON, such as speedscope's; pprof and folded stacks can be read"},
	{"\x7f" "ELF", "it is a program; 'bolometer record -- PROGRAM' profiles it"},
	{"\x28\xb5\x2f\xfd", "it is compressed by zstd: unpack it, or compress it with gzip"},
	{"\xfd" "7zXZ", "it is compressed by xz: unpack it, or compress it with gzip"},
};

static const char *known_other(const char *path, const char *bytes, size_t size)
{
	for (size_t i = 0; i < ARRAY_LENGTH(known_others); i++) {
		size_t length = strlen(known_others[i].beginning);
		if (size >= length && memcmp(bytes, known_others[i].beginning, length) == 0)
			return known_others[i].what;
	}
	if (format_from_path(path) == FILE_FORMAT_OTLP)
		return "OTLP is written only; pprof and folded stacks can be read";
	return NULL;
}

/* No pprof message is: it begins with the numbers of fields and lengths. */
static bool is_text(const char *bytes, size_t size)
{
	for (size_t i = 0; i < MIN_OF(size, (size_t)LOOKED_AT_BYTES); i++)
		if ((unsigned char)bytes[i] < ' ' && !memchr("\t\n\r", bytes[i], 3))
			return false;
	return true;
}

static int refuse_pprof(const struct command *command, const char *path, int error, const struct pprof_failure *failure)
{
	return command_error(command, "%s is not a valid pprof file: %s (at byte %zu)", input_name(path),
			     failure->text[0] ? failure->text : strerror(-error), failure->offset);
}

static int decode_pprof(const struct command *command, const char *path, const char *bytes,
			size_t size, struct profile **ret)
{
	struct pprof_failure failure = {0};
	int r = pprof_decode(bytes, size, 0, &failure, ret);
	if (r == 0)
		return STATUS_OK;
	const char *other = r == -ENOMEM ? NULL : known_other(path, bytes, size);
	if (other)
		return command_error(command, "%s is not a valid pprof file: %s", input_name(path), other);
	return refuse_pprof(command, path, r, &failure);
}

/* "main 4711 cycles:" and below it "\t    55d0c0ffee00 work+0x12 (/bin/x)": a stack has lines of its own, the first a
 * number in hexadecimal. */
static bool is_perf_script(const char *bytes, size_t size)
{
	const char *end = bytes + size, *at = memchr(bytes, '\n', size);
	size_t digits = 0;
	if (!at || ++at == end || (*at != '\t' && *at != ' '))
		return false;
	while (at < end && (*at == '\t' || *at == ' '))
		at++;
	for (; at < end && isxdigit((unsigned char)*at); at++)
		digits++;
	return digits >= 4 && at < end && *at == ' ';
}

static int decode_folded(const struct command *command, const char *path, const char *bytes,
			 size_t size, struct profile **ret)
{
	struct folded_failure failure = {0};
	int r = folded_decode(bytes, size, &failure, ret);
	if (r == 0)
		return STATUS_OK;
	if (is_perf_script(bytes, size))
		return command_error(command, "%s is no file of folded stacks: it is what 'perf script' writes; "
				     "stackcollapse-perf.pl folds it", input_name(path));
	return command_error(command, "%s is %s folded stacks: %s (line %zu)", input_name(path),
			     format_from_path(path) == FILE_FORMAT_FOLDED
				     ? "no file of"
				     : "not a valid pprof file, nor one of",
			     failure.text[0] ? failure.text : strerror(-r),
			     failure.line);
}

/* So that what is in it is seen: pprof, folded stacks, or neither. */
static int expand_input(const struct command *command, const char *path, char **bytes, size_t *size)
{
	struct pprof_failure failure;
	char *expanded = NULL;
	int r = gzip_is(*bytes, *size) ? pprof_expand(*bytes, *size, PPROF_SIZE_LIMIT, &failure, &expanded, size) : 0;
	if (r < 0)
		return refuse_pprof(command, path, r, &failure);
	if (expanded) {
		free(*bytes);
		*bytes = expanded;
	}
	return STATUS_OK;
}

int load_profile(const struct command *command, const char *path, struct profile **ret)
{
	_cleanup_free_ char *bytes = NULL;
	size_t size = 0;
	int r = read_input(path, &bytes, &size);
	if (r == -EFBIG)
		return command_error(command, "%s: larger than 1 GiB", input_name(path));
	if (r < 0)
		return command_error(command, "cannot read %s: %s", input_name(path), strerror(-r));
	int status = expand_input(command, path, &bytes, &size);
	if (status != STATUS_OK)
		return status;
	if (size == 0)
		return command_error(command, "%s is empty", input_name(path));
	bool is_folded = format_from_path(path) == FILE_FORMAT_FOLDED ||
			 (is_text(bytes, size) && !known_other(path, bytes, size));
	status = is_folded ? decode_folded(command, path, bytes, size, ret)
			   : decode_pprof(command, path, bytes, size, ret);
	if (status == STATUS_OK && profile_take_usual_units(*ret) < 0)
		return command_error(command, "%s", strerror(ENOMEM));
	return status;
}

static int choose_sample_type(const struct command *command, const struct profile *profile,
			      const char *name, size_t *ret)
{
	if (!profile->sample_types.count)
		return command_error(command, "the profile has no sample types");
	if (!name) {
		*ret = profile_default_value(profile);
		return STATUS_OK;
	}
	int found = profile_find_sample_type(profile, name);
	if (found >= 0) {
		*ret = (size_t)found;
		return STATUS_OK;
	}
	struct text names = {0};
	for (size_t i = 0; i < profile->sample_types.count; i++)
		text_add(&names, "%s%s", i ? ", " : "",
			 profile_text(profile, profile->sample_types.items[i].type));
	int status = command_usage_error(command, "--type: there is no '%s'; the profile has %s",
					 name, names.bytes ? names.bytes : "");
	text_free(&names);
	return status;
}

static int filter_groups(const struct command *command, const char *path, const char *option,
			 const struct option_texts *groups, struct profile *profile)
{
	struct text error = {0};
	int status = STATUS_OK;
	size_t before = profile->samples.count;
	int r = profile_filter_groups(profile, groups->list.items, groups->list.count, strcmp(option, "only") == 0, &error);
	if (r == 0 && before && !profile->samples.count)
		command_error(command, "--%s leaves no sample of %s; 'bolometer report --by WORD' shows what there is", option,
			      input_name(path));
	if (r == -EINVAL && error.bytes)
		status = command_usage_error(command, "--%s: %s", option, error.bytes);
	else if (r < 0)
		status = command_error(command, "%s", strerror(-r));
	text_free(&error);
	return status;
}

/* No failure, of one side of a difference for instance; but nothing must not look like no cost. */
static void tell_empty(const struct command *command, const char *path, const struct load_options *options)
{
	if (options->focus && options->ignore)
		command_error(command, "--focus and --ignore leave no stack of %s", input_name(path));
	else if (options->ignore)
		command_error(command, "--ignore leaves no stack of %s", input_name(path));
	else
		command_error(command, "no stack of %s has a function that matches '%s'", input_name(path),
			      options->focus);
}

static int filter(const struct command *command, const char *path, const struct load_options *options,
		  struct profile *profile)
{
	struct text error = {0};
	int status = STATUS_OK;
	size_t before = profile->samples.count;
	int r = profile_filter(profile, options->focus, options->ignore, &error);
	if (r == 0 && before && !profile->samples.count)
		tell_empty(command, path, options);
	if (r == -EINVAL && error.bytes)
		status = command_usage_error(command, "%s", error.bytes);
	else if (r < 0)
		status = command_error(command, "%s", strerror(-r));
	text_free(&error);
	return status;
}

/* After the filter: functions are asked for by their own names. */
static int group(const struct command *command, const struct load_options *options,
		 struct profile *profile)
{
	struct text error = {0};
	int status = STATUS_OK, r = options->lines ? profile_split_lines(profile) : 0;
	if (r == 0 && options->join_unnamed)
		r = profile_join_unnamed(profile);
	if (r == 0 && options->by)
		r = profile_check_grouping(profile, options->by, &error);
	if (r == 0 && options->by)
		r = profile_group_by(profile, options->by);
	if (r == -EINVAL && error.bytes)
		status = command_usage_error(command, "--by: %s", error.bytes);
	else if (r < 0)
		status = command_error(command, "%s", strerror(-r));
	text_free(&error);
	return status;
}

static int64_t total_of(const struct loaded_view *view)
{
	const struct profile *profile = view->profile;
	int64_t total = 0;
	for (size_t i = 0; i < profile->samples.count; i++)
		total = add_saturating(total, profile->values.items[i * profile->sample_types.count + view->value]);
	return total;
}

int load_view(const struct command *command, const char *path, const struct load_options *options,
	      struct loaded_view *ret)
{
	int status = load_profile(command, path, &ret->profile);
	if (status == STATUS_OK)
		status = choose_sample_type(command, ret->profile, options->type, &ret->value);
	if (status == STATUS_OK)
		ret->file_total = total_of(ret);
	if (status == STATUS_OK && options->only.list.count)
		status = filter_groups(command, path, "only", &options->only, ret->profile);
	if (status == STATUS_OK && options->without.list.count)
		status = filter_groups(command, path, "without", &options->without, ret->profile);
	if (status == STATUS_OK)
		status = filter(command, path, options, ret->profile);
	return status == STATUS_OK ? group(command, options, ret->profile) : status;
}
