/* SPDX-License-Identifier: Apache-2.0 */
/* `bolometer flame`: a pprof file as a flame graph for the browser. */
#include "command/load.h"
#include "command/output.h"
#include "format/flame_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct flame_options {
	struct load_options load;
	const char *output, *title;
};

#define AT(field) offsetof(struct flame_options, field)

static const struct option_spec flame_specs[] = {
	OPTION(TEXT, 'o', "output", "FILE", AT(output),
	       "where the page goes; '-': standard output\n(default: FILE.html in this directory)"),
	OPTION(TEXT, 0, "title", "TEXT", AT(title), "heading of the page (default: the file's name)"),
	LOAD_OPTIONS(AT(load)),
	OPTIONS_END,
};

static const struct command *const self = &command_flame;

/* "dir/x.pb.gz" becomes "x.html"; what comes from standard input goes to standard output. */
static char *default_output(const char *input)
{
	if (strcmp(input, "-") == 0)
		return strdup("-");
	const char *name = text_base_name(input);
	size_t length = strlen(name);
	static const char *const endings[] = {".pb.gz", ".pb", ".pprof", ".prof"};
	for (size_t i = 0; i < ARRAY_LENGTH(endings); i++) {
		size_t ending = strlen(endings[i]);
		if (length > ending && strcmp(name + length - ending, endings[i]) == 0)
			return text_format("%.*s.html", (int)(length - ending), name);
	}
	return text_format("%s.html", name);
}

static int write_page(const struct profile *profile, size_t value, const char *title,
		      struct output *output)
{
	struct text page = {0};
	int r = flame_profile_write(profile, value, title, &page);
	if (r == 0)
		r = output_write_bytes(output, &page);
	text_free(&page);
	if (r < 0)
		return command_error(self, "cannot write %s: %s", output_title(output->path), strerror(-r));
	char size[32];
	if (strcmp(output->path, "-") != 0)
		fprintf(stderr, "wrote %s (%s): open it in a browser\n", output->path,
			text_size(size, sizeof(size), output->bytes));
	return STATUS_OK;
}

static int flame_file(const struct flame_options *options, const char *input)
{
	struct loaded_view loaded = {0};
	_cleanup_free_ char *path = options->output ? strdup(options->output)
						    : default_output(input);
	int status = load_view(self, input, &options->load, &loaded);
	_cleanup_profile_ struct profile *profile = loaded.profile;
	if (status != STATUS_OK)
		return status;
	if (!path)
		return command_error(self, "%s", strerror(ENOMEM));
	struct output output;
	status = command_open_page(self, path, &output);
	if (status == STATUS_OK)
		status = write_page(profile, loaded.value, options->title ? options->title : text_base_name(input),
				    &output);
	output_close(&output);
	return status;
}

static int flame_run(int argc, char **argv)
{
	struct flame_options options = {0};
	struct option_words words = {0};
	int status;
	if (command_parse(self, &options, argc, argv, &words, &status))
		status = flame_file(&options, words.list.items[0]);
	load_options_free(&options.load);
	option_words_free(&words);
	return status;
}

const struct command command_flame = {
	.name = "flame",
	.arguments = "[options] FILE",
	.summary = "draw a pprof file as a flame graph: one HTML page that works offline",
	.details = "FILE is any pprof file or folded stacks, compressed or not, whoever wrote them; '-' is\n"
		   "standard input.",
	.options = flame_specs,
	.min_words = 1,
	.max_words = 1,
	.run = flame_run,
};
