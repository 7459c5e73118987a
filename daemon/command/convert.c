/* SPDX-License-Identifier: Apache-2.0 */
/* `bolometer convert` and `bolometer merge`: pprof files in, one file of any format out. */
#include "command/load.h"
#include "command/output.h"
#include "profile/merge.h"

#include <errno.h>
#include <string.h>

struct convert_options {
	struct load_options load;
	const char *output, *format;
};

#define FORMAT_OPTION                                                                              \
	OPTION(TEXT, 0, "format", "NAME", offsetof(struct convert_options, format),                \
	       "where no extension tells: " FORMAT_WORDS, .words = FORMAT_WORDS)

static const struct option_spec convert_specs[] = {
	FORMAT_OPTION,
	LOAD_OPTIONS(offsetof(struct convert_options, load)),
	OPTIONS_END,
};

static const struct option_spec merge_specs[] = {
	OPTION(TEXT, 'o', "output", "FILE", offsetof(struct convert_options, output),
	       "where the sum goes; format by extension, '-' is standard output"),
	FORMAT_OPTION,
	OPTIONS_END,
};

static int open_and_write(const struct command *command, const char *path, const char *format,
			  const struct profile *profile)
{
	struct output output;
	int status = command_open_output(command, path, format, &output);
	int r = status == STATUS_OK ? output_write(&output, profile) : 0;
	if (r < 0)
		status = command_error(command, "cannot write %s: %s", output_title(path), output_error(r));
	output_close(&output);
	return status;
}

static int convert_run(int argc, char **argv)
{
	struct convert_options options = {0};
	struct option_words words = {0};
	struct loaded_view loaded = {0};
	int status;
	bool go = command_parse(&command_convert, &options, argc, argv, &words, &status);
	if (go)
		status = load_view(&command_convert, words.list.items[0], &options.load, &loaded);
	/* Formats with one value a stack take this one; others have all, and show it first. */
	if (go && status == STATUS_OK && options.load.type)
		loaded.profile->default_sample_type = loaded.profile->sample_types.items[loaded.value].type;
	if (go && status == STATUS_OK)
		status = open_and_write(&command_convert, words.list.items[1], options.format,
					loaded.profile);
	profile_free(loaded.profile);
	load_options_free(&options.load);
	option_words_free(&words);
	return status;
}

struct loaded_profiles {
	ARRAY(struct profile *) list;
};

static int load_all(const struct option_words *words, struct loaded_profiles *loaded)
{
	for (size_t i = 0; i < words->list.count; i++) {
		struct profile *profile = NULL;
		int status = load_profile(&command_merge, words->list.items[i], &profile);
		if (status != STATUS_OK)
			return status;
		if (array_add(&loaded->list, profile) < 0) {
			profile_free(profile);
			return command_error(&command_merge, "%s", strerror(ENOMEM));
		}
	}
	return STATUS_OK;
}

/* The sum has what all files have; what it has not is no silent loss. */
static void tell_left_out(const struct loaded_profiles *loaded, const struct profile *sum)
{
	struct strings names = {0};
	struct text told = {0};
	for (size_t i = 0; i < loaded->list.count; i++) {
		const struct profile *profile = loaded->list.items[i];
		for (size_t k = 0; k < profile->sample_types.count; k++) {
			const char *name = profile_text(profile, profile->sample_types.items[k].type);
			size_t before = names.count;
			uint32_t index;
			if (profile_find_sample_type(sum, name) >= 0 || strings_add_text(&names, name, &index) < 0 ||
			    names.count == before)
				continue;
			text_add(&told, "%s%s", before ? ", " : "", name);
		}
	}
	if (told.length)
		command_tell(&command_merge, "left out, as not every file has it: %s", told.bytes);
	text_free(&told);
	strings_free(&names);
}

static int merge_and_write(const struct convert_options *options,
			   const struct loaded_profiles *loaded)
{
	_cleanup_profile_ struct profile *sum = NULL;
	int r = profile_merge((const struct profile *const *)loaded->list.items,
			      loaded->list.count, &sum);
	if (r == -EINVAL)
		return command_error(&command_merge,
				     "the profiles have no sample type in common");
	if (r < 0)
		return command_error(&command_merge, "%s", strerror(-r));
	tell_left_out(loaded, sum);
	return open_and_write(&command_merge, options->output, options->format, sum);
}

static int merge_run(int argc, char **argv)
{
	struct convert_options options = {0};
	struct option_words words = {0};
	struct loaded_profiles loaded = {0};
	int status;
	bool go = command_parse(&command_merge, &options, argc, argv, &words, &status);
	if (go && !options.output)
		status = command_usage_error(&command_merge, "missing -o FILE");
	else if (go && (status = load_all(&words, &loaded)) == STATUS_OK)
		status = merge_and_write(&options, &loaded);
	for (size_t i = 0; i < loaded.list.count; i++)
		profile_free(loaded.list.items[i]);
	array_free(&loaded.list);
	option_words_free(&words);
	return status;
}

const struct command command_convert = {
	.name = "convert",
	.arguments = "[options] IN OUT",
	.summary = "write a pprof file in another format",
	.details = "IN is any pprof file, folded stacks, or '-'. OUT is written in the format of its extension:\n"
		   FORMAT_ENDINGS ".\n"
		   "Folded stacks, speedscope and text have one sample type: --type chooses it.",
	.options = convert_specs,
	.min_words = 2,
	.max_words = 2,
	.run = convert_run,
};

const struct command command_merge = {
	.name = "merge",
	.arguments = "-o FILE IN...",
	.summary = "add pprof files up to one",
	.options = merge_specs,
	.min_words = 1,
	.max_words = UINT32_MAX,
	.run = merge_run,
};
