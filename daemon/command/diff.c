/* SPDX-License-Identifier: Apache-2.0 */
/* `bolometer diff`: what changed between two profiles, as shares of each one's total. */
#include "format/report_json.h"
#include "command/load.h"
#include "command/output.h"
#include "format/flame_profile.h"

#include <errno.h>
#include <string.h>

struct diff_options {
	struct load_options load;
	uint64_t rows;
	const char *output;
	bool cumulative, absolute, json;
};

#define AT(field) offsetof(struct diff_options, field)

static const struct option_spec diff_specs[] = {
	OPTION(FLAG, 'c', "cumulative", NULL, AT(cumulative),
	       "compare cost with everything called (default: own cost)"),
	OPTION(FLAG, 0, "absolute", NULL, AT(absolute),
	       "compare values, not shares: of memory in use, of recordings of equal\nlength"),
	OPTION(NUMBER, 'n', "rows", "N", AT(rows), "at most N rows; 0 for all (default: 40)",
	       .high = UINT32_MAX),
	OPTION(TEXT, 'o', "output", "FILE", AT(output),
	       "a flame graph (.html) instead of the table: red grew, blue shrank"),
	OPTION(FLAG, 0, "json", NULL, AT(json), "for programs"),
	LOAD_OPTIONS(AT(load)),
	OPTIONS_END,
};

static const struct command *const self = &command_diff;

static int check_comparable(const struct flame_side *a, const struct flame_side *b)
{
	const struct profile_value_type *type_a = &a->profile->sample_types.items[a->value];
	const struct profile_value_type *type_b = &b->profile->sample_types.items[b->value];
	const char *name_a = profile_text(a->profile, type_a->type);
	const char *name_b = profile_text(b->profile, type_b->type);
	if (strcmp(name_a, name_b) == 0 && strcmp(profile_text(a->profile, type_a->unit),
						  profile_text(b->profile, type_b->unit)) == 0)
		return STATUS_OK;
	return command_error(self,
			     "A counts %s in %s, B %s in %s: choose one that both have with --type",
			     name_a, profile_text(a->profile, type_a->unit), name_b,
			     profile_text(b->profile, type_b->unit));
}

static int write_difference(const struct diff_options *options, const struct report_view *view,
			    struct text *out)
{
	enum report_order order =
		options->cumulative ? REPORT_BY_CUMULATIVE_CHANGE : REPORT_BY_FLAT_CHANGE;
	return options->json ? report_json_functions(view, order, out)
			     : report_text_difference(view, order, out);
}

static int print_difference(const struct diff_options *options, const struct flame_side *a,
			    const struct flame_side *b)
{
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	struct text out = {0};
	int r = call_tree_new_pair(a->profile, a->value, b->profile, b->value, &tree);
	if (r == 0)
		r = report_new(tree, &report);
	if (r == 0) {
		report->compares_values = options->absolute;
		struct report_view view = {a->profile, a->value, report, options->rows, 0};
		r = write_difference(options, &view, &out);
	}
	if (r == 0)
		return command_print(&out);
	text_free(&out);
	return command_error(self, "%s", strerror(-r));
}

static int write_page(const char *path, const struct flame_side *a, const struct flame_side *b)
{
	struct output output;
	struct text page = {0};
	int r = 0, status = command_open_page(self, path, &output);
	if (status == STATUS_OK)
		r = flame_difference_write(a, b, &page);
	if (status == STATUS_OK && r == 0)
		r = output_write_bytes(&output, &page);
	if (r < 0)
		status = command_error(self, "cannot write %s: %s", output_title(path), strerror(-r));
	text_free(&page);
	output_close(&output);
	return status;
}

static int diff_run(int argc, char **argv)
{
	struct diff_options options = {.rows = 40};
	struct option_words words = {0};
	struct loaded_view loaded_a = {0}, loaded_b = {0};
	struct flame_side a = {0}, b = {0};
	int status;
	bool go = command_parse(self, &options, argc, argv, &words, &status);
	if (go && options.absolute && options.output) {
		status = command_usage_error(self, "--absolute is of the table; a page shows shares");
		go = false;
	}
	if (go)
		status = load_view(self, words.list.items[0], &options.load, &loaded_a);
	if (go && status == STATUS_OK)
		status = load_view(self, words.list.items[1], &options.load, &loaded_b);
	if (go && status == STATUS_OK) {
		a = (struct flame_side){loaded_a.profile, loaded_a.value, words.list.items[0]};
		b = (struct flame_side){loaded_b.profile, loaded_b.value, words.list.items[1]};
	}
	if (go && status == STATUS_OK)
		status = check_comparable(&a, &b);
	if (go && status == STATUS_OK)
		status = options.output ? write_page(options.output, &a, &b)
					: print_difference(&options, &a, &b);
	profile_free(loaded_a.profile);
	profile_free(loaded_b.profile);
	load_options_free(&options.load);
	option_words_free(&words);
	return status;
}

const struct command command_diff = {
	.name = "diff",
	.arguments = "[options] A B",
	.summary = "say what changed from one pprof file to another",
	.details = "Shares are of each file's own total, so that captures of unequal length compare; "
		   "'change'\nis B's share less A's. With --absolute, it is B's value less A's.",
	.options = diff_specs,
	.min_words = 2,
	.max_words = 2,
	.run = diff_run,
};
