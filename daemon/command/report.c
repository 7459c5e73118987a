/* SPDX-License-Identifier: Apache-2.0 */
/* `bolometer report`: a pprof file as tables and trees. */
#include "base/expression.h"
#include "format/leaks_text.h"
#include "format/lifetimes_text.h"
#include "format/report_json.h"
#include "command/load.h"
#include "command/report_source.h"

#include <errno.h>
#include <string.h>

#define MAX_NEIGHBOURS 20 /* functions that --function shows in full */

struct report_options {
	struct load_options load;
	const char *function, *source, *source_path;
	uint64_t rows;
	bool cumulative, tree, leaks, lifetimes, json;
};

#define AT(field) offsetof(struct report_options, field)

static const struct option_spec report_specs[] = {
	OPTION(FLAG, 'c', "cumulative", NULL, AT(cumulative),
	       "order by cost with everything called (default: by own cost)"),
	OPTION(FLAG, 't', "tree", NULL, AT(tree), "the call tree from the root"),
	OPTION(TEXT, 'f', "function", "REGEX", AT(function),
	       "the callers and callees of the functions that match"),
	OPTION(TEXT, 's', "source", "REGEX", AT(source),
	       "the source of the functions that match, each line with its cost"),
	OPTION(TEXT, 0, "source-path", "DIR", AT(source_path),
	       "with --source: where the sources are, if not where they were\ncompiled"),
	OPTION(FLAG, 0, "leaks", NULL, AT(leaks),
	       "of a heap profile: the places whose memory was not given back,\n"
	       "and how sure that is"),
	OPTION(FLAG, 0, "lifetimes", NULL, AT(lifetimes),
	       "of a heap profile: how long the memory of each place is kept, places\n"
	       "that take much for a moment only first"),
	OPTION(NUMBER, 'n', "rows", "N", AT(rows), "at most N rows; 0 for all (default: 40)",
	       .high = UINT32_MAX),
	OPTION(FLAG, 0, "json", NULL, AT(json), "for programs"),
	LOAD_OPTIONS(AT(load)),
	OPTIONS_END,
};

static const struct command *const self = &command_report;

/* The functions whose names match, the most costly first. */
static int find_functions(const struct report *report, const char *pattern, uint32_t *found,
			  size_t *ret_count, struct text *error)
{
	regex_t regex;
	_cleanup_free_ uint32_t *sorted = NULL;
	if (report_sort(report, REPORT_BY_CUMULATIVE, &sorted) < 0)
		return -ENOMEM;
	int r = expression_compile(pattern, &regex, error);
	if (r < 0)
		return r;
	size_t count = 0;
	for (size_t i = 0; i < report->functions.count && count < MAX_NEIGHBOURS; i++)
		if (regexec(&regex, report_name(report, sorted[i]), 0, NULL, 0) == 0)
			found[count++] = sorted[i];
	regfree(&regex);
	*ret_count = count;
	return 0;
}

static int write_neighbours(const struct report_options *options, const struct report_view *view,
			    struct text *out)
{
	uint32_t found[MAX_NEIGHBOURS];
	size_t count;
	_cleanup_(text_free) struct text error = {0};
	int r = find_functions(view->report, options->function, found, &count, &error);
	if (r == -EINVAL)
		return command_usage_error(self, "--function: %s", error.bytes);
	if (r == 0 && count == 0)
		return command_error(self, "no function matches '%s'", options->function);
	if (r == 0 && options->json)
		r = report_json_neighbours(view, found, count, out);
	for (size_t i = 0; r == 0 && !options->json && i < count; i++) {
		text_add_char(out, '\n');
		r = report_text_neighbours(view, found[i], out);
	}
	return r < 0 ? command_error(self, "%s", strerror(-r)) : STATUS_OK;
}

static int write_source(const struct report_options *options, const struct report_view *view, struct text *out)
{
	struct source_request request = {options->source, options->source_path, options->json};
	_cleanup_(text_free) struct text error = {0};
	int r = report_source(&request, view, out, &error);
	if (r == -EINVAL)
		return command_usage_error(self, "--source: %s", error.bytes);
	if (r == -ENOENT)
		return command_error(self, "no function with a cost matches '%s'", options->source);
	return r < 0 ? command_error(self, "%s", strerror(-r)) : STATUS_OK;
}

static int write_report(const struct report_options *options, const struct report_view *view,
			struct text *out)
{
	enum report_order order = options->cumulative ? REPORT_BY_CUMULATIVE : REPORT_BY_FLAT;
	int r = 0;
	if (!options->json)
		r = report_text_header(view, out);
	if (r == 0 && options->source)
		return write_source(options, view, out);
	if (r == 0 && options->function)
		return write_neighbours(options, view, out);
	if (r == 0 && options->tree)
		r = options->json ? report_json_tree(view, out) : report_text_tree(view, out);
	else if (r == 0 && options->json)
		r = report_json_functions(view, order, out);
	else if (r == 0) {
		if (options->load.by)
			r = report_text_groups(view, view->profile->group_levels, options->load.by, out);
		if (r == 0)
			r = report_text_functions(view, order, out);
	}
	return r < 0 ? command_error(self, "%s", strerror(-r)) : STATUS_OK;
}

static int report_profile(const struct report_options *options, const struct loaded_view *loaded)
{
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	int r = call_tree_new(loaded->profile, loaded->value, &tree);
	if (r == 0)
		r = call_tree_sort(tree, CALL_TREE_BY_TOTAL);
	if (r == 0)
		r = report_new(tree, &report);
	if (r < 0)
		return command_error(self, "%s", strerror(-r));
	struct report_view view = {loaded->profile, loaded->value, report, options->rows, loaded->file_total};
	struct text out = {0};
	int status = write_report(options, &view, &out);
	if (status == STATUS_OK)
		return command_print(&out);
	text_free(&out);
	return status;
}

static int report_leaks(const struct report_options *options, const struct profile *profile)
{
	_cleanup_(leaks_free) struct leaks leaks;
	struct text out = {0};
	int r = leaks_find(profile, &leaks);
	if (r == -ENODATA)
		return command_error(self, "--leaks needs a heap profile: alloc_objects, alloc_space, "
					   "inuse_objects and inuse_space");
	if (r == 0)
		r = options->json ? leaks_json(profile, &leaks, options->rows, &out)
				  : leaks_text(profile, &leaks, options->rows, &out);
	if (r == 0)
		return command_print(&out);
	text_free(&out);
	return command_error(self, "%s", strerror(-r));
}

static int report_lifetimes(const struct report_options *options, const struct profile *profile)
{
	_cleanup_(lifetimes_free) struct lifetimes lifetimes;
	struct text out = {0};
	int r = lifetimes_find(profile, &lifetimes);
	if (r == -ENODATA)
		return command_error(self, "--lifetimes needs a heap profile with freed_objects and freed_space, as "
					   "'bolometer record -e heap' writes it");
	if (r == 0)
		r = options->json ? lifetimes_json(profile, &lifetimes, options->rows, &out)
				  : lifetimes_text(profile, &lifetimes, options->rows, &out);
	if (r == 0)
		return command_print(&out);
	text_free(&out);
	return command_error(self, "%s", strerror(-r));
}

static int check_options(const struct report_options *options)
{
	if (options->tree + options->leaks + options->lifetimes + (options->function != NULL) + (options->source != NULL) > 1)
		return command_usage_error(self,
					   "--tree, --leaks, --lifetimes, --function and --source exclude each other");
	if (options->source && options->load.lines)
		return command_usage_error(self, "--source tells lines as it is: --lines does not go with it");
	if (options->source_path && !options->source)
		return command_usage_error(self, "--source-path needs --source");
	return STATUS_OK;
}

static int report_run(int argc, char **argv)
{
	struct report_options options = {.rows = 40};
	struct option_words words = {0};
	struct loaded_view loaded = {0};
	int status;
	bool go = command_parse(self, &options, argc, argv, &words, &status);
	if (go && (status = check_options(&options)) != STATUS_OK)
		go = false;
	if (go)
		status = load_view(self, words.list.items[0], &options.load, &loaded);
	if (go && status == STATUS_OK)
		status = options.leaks	     ? report_leaks(&options, loaded.profile)
			 : options.lifetimes ? report_lifetimes(&options, loaded.profile)
					     : report_profile(&options, &loaded);
	profile_free(loaded.profile);
	load_options_free(&options.load);
	option_words_free(&words);
	return status;
}

const struct command command_report = {
	.name = "report",
	.arguments = "[options] FILE",
	.summary = "say which functions of a pprof file cost how much",
	.details = "FILE is any pprof file or folded stacks, compressed or not, whoever wrote them; '-' is\n"
		   "standard input.",
	.options = report_specs,
	.min_words = 1,
	.max_words = 1,
	.run = report_run,
};
