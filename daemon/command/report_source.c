/* SPDX-License-Identifier: Apache-2.0 */
/* See report_source.h. */
#include "command/report_source.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "format/report_json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_SOURCE_BYTES (16u << 20)
#define LINES_AROUND 3 /* shown before and behind each line that cost something */
#define VALUE_COLUMNS 17
#define TAB_COLUMNS 8

/* ---- Files ----------------------------------------------------------------------------------- */

struct source_file {
	char *bytes; /* NULL: could not be read */
	ARRAY(const char *) lines;
	int64_t changed_ns; /* CLOCK_REALTIME */
	int error;
};

static void source_file_close(struct source_file *file)
{
	free(file->bytes);
	array_free(&file->lines);
}

/* A profile may name anything: what is no regular file could hang, or go on for ever. */
static int open_source(const char *path, struct stat *ret)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, ret) < 0)
		return -errno;
	return S_ISREG(ret->st_mode) ? take_fd(fd) : -EINVAL;
}

/* Below `directory` with as much of the path as is there: a checkout is rarely where it was compiled. */
static int open_below(const char *directory, const char *path, struct stat *ret)
{
	int fd = -ENOENT;
	for (const char *rest = path; rest && fd == -ENOENT; rest = strchr(rest, '/')) {
		rest += strspn(rest, "/");
		_cleanup_free_ char *full = text_format("%s/%s", directory, rest);
		fd = full ? open_source(full, ret) : -ENOMEM;
	}
	return fd;
}

static int split_lines(struct source_file *file)
{
	for (char *line = file->bytes, *end; line && *line; line = end) {
		if (array_add(&file->lines, line) < 0)
			return -ENOMEM;
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
	}
	return 0;
}

static int read_source(const char *directory, const char *path, struct source_file *ret)
{
	struct stat facts;
	size_t size;
	*ret = (struct source_file){0};
	_cleanup_fd_ int fd = !*path ? -ENOENT : directory ? open_below(directory, path, &facts) : open_source(path, &facts);
	ret->error = fd < 0 ? fd : read_whole_fd(fd, MAX_SOURCE_BYTES, &ret->bytes, &size);
	if (ret->error < 0)
		return ret->error == -ENOMEM ? -ENOMEM : 0;
	ret->changed_ns = (int64_t)facts.st_mtim.tv_sec * (int64_t)NS_PER_SECOND + facts.st_mtim.tv_nsec;
	return split_lines(ret);
}

/* ---- Text ------------------------------------------------------------------------------------ */

static void add_value(const struct report_view *view, int64_t value, struct text *out)
{
	char buffer[64];
	if (value)
		text_add(out, "%10s %5.1f%%", report_value(view, value, buffer, sizeof(buffer)),
			 report_share(view, value));
	else
		text_add(out, "%*s", VALUE_COLUMNS, "");
}

/* With spaces for tabs: they would be counted from the left edge. */
static void add_source(const char *line, struct text *out)
{
	struct text spaced = {0};
	for (size_t column = 0; *line; line++, column++) {
		size_t stop = *line == '\t' ? TAB_COLUMNS - column % TAB_COLUMNS : 0;
		if (!stop)
			text_add_char(&spaced, *line);
		else
			text_add(&spaced, "%*s", (int)stop, "");
		column += stop ? stop - 1 : 0;
	}
	out->failed |= spaced.failed;
	text_add_printable(out, spaced.bytes ? spaced.bytes : "");
	text_free(&spaced);
}

static void add_line(const struct report_view *view, const struct source_line *line, uint32_t number,
		     const struct source_file *file, struct text *out)
{
	add_value(view, line ? line->flat : 0, out);
	text_add_string(out, "  ");
	add_value(view, line ? line->cumulative : 0, out);
	if (number)
		text_add(out, "  %6" PRIu32 "  ", number);
	else
		text_add(out, "  %6s  ", "?");
	if (number && number <= file->lines.count)
		add_source(file->lines.items[number - 1], out);
	while (out->length && out->bytes[out->length - 1] == ' ')
		out->bytes[--out->length] = '\0';
	text_add_char(out, '\n');
}

static void add_head(const struct report_view *view, const struct source_function *function,
		     const struct source_file *file, struct text *out)
{
	const struct profile *profile = view->profile;
	const char *path = profile_text(profile, function->file);
	char flat[64], cumulative[64];
	text_add_char(out, '\n');
	text_add_printable(out, profile_text(profile, function->name));
	text_add_string(out, *path ? "  " : "");
	text_add_printable(out, path);
	text_add(out, "  %s of its own, %s with what it calls\n", report_value(view, function->flat, flat, sizeof(flat)),
		 report_value(view, function->cumulative, cumulative, sizeof(cumulative)));
	if (file->error < 0 && *path)
		text_add(out, "(its source cannot be read: %s; --source-path DIR names where it is)\n", strerror(-file->error));
	else if (!*path)
		text_add_string(out, "(the profile does not name its source: compile with -g)\n");
	else if (profile->time_ns && file->changed_ns > profile->time_ns)
		text_add_string(out, "(the source has changed since: lines may be off)\n");
}

/* From a few lines before what cost something to a few behind it; what is left out between is marked. */
static void add_function(const struct report_view *view, const struct source_lines *lines,
			 const struct source_function *function, const struct source_file *file, struct text *out)
{
	uint32_t shown = 0; /* the last line */
	for (size_t i = 0; i < function->line_count; i++) {
		const struct source_line *line = &lines->lines.items[function->first_line + i];
		const struct source_line *next = i + 1 < function->line_count ? line + 1 : NULL;
		uint32_t around = file->bytes && line->line ? LINES_AROUND : 0;
		uint32_t from = line->line > around ? line->line - around : MIN_OF(line->line, 1u);
		if (!line->cumulative)
			continue;
		if (shown && from > shown + 1 && file->bytes)
			text_add(out, "%*s…\n", 2 * VALUE_COLUMNS + 10, "");
		for (uint32_t number = MAX_OF(from, shown + 1); number < line->line; number++)
			add_line(view, NULL, number, file, out);
		add_line(view, line, line->line, file, out);
		shown = line->line;
		uint64_t to = MIN_OF((uint64_t)line->line + around, (uint64_t)file->lines.count);
		for (; around && shown < to && (!next || shown + 1 < next->line); shown++)
			add_line(view, NULL, shown + 1, file, out);
	}
}

static int write_text(const struct source_request *request, const struct report_view *view,
		      const struct source_lines *lines, struct text *out)
{
	size_t rows = view->rows ? MIN_OF(view->rows, lines->functions.count) : lines->functions.count;
	text_add(out, "%10s %6s  %10s %6s    line  source\n", "flat", "", "cumulative", "");
	for (size_t i = 0; i < rows; i++) {
		const struct source_function *function = &lines->functions.items[i];
		_cleanup_(source_file_close) struct source_file file;
		int r = read_source(request->directory, profile_text(view->profile, function->file), &file);
		if (r < 0)
			return r;
		add_head(view, function, &file, out);
		add_function(view, lines, function, &file, out);
	}
	if (rows < lines->functions.count)
		text_add(out, "\n… and %zu more function%s (-n 0 shows all)\n", lines->functions.count - rows,
			 lines->functions.count - rows == 1 ? "" : "s");
	return out->failed ? -ENOMEM : 0;
}

int report_source(const struct source_request *request, const struct report_view *view, struct text *out,
		  struct text *error)
{
	_cleanup_(source_lines_free) struct source_lines lines;
	int r = source_lines_find(view->profile, view->value, request->pattern, &lines, error);
	if (r == 0 && !lines.functions.count)
		r = -ENOENT;
	if (r < 0)
		return r;
	return request->json ? report_json_source(view, &lines, out) : write_text(request, view, &lines, out);
}
