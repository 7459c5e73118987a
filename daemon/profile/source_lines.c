/* SPDX-License-Identifier: Apache-2.0 */
/* See source_lines.h. Functions and lines are matched once; then samples are walked, each entry stamped with the last one. */
#include "profile/source_lines.h"

#include "base/arithmetic.h"
#include "base/expression.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct finder {
	const struct profile *profile;
	struct source_lines *found;
	uint32_t *entry_of_function, *entry_of_line; /* by index in the profile; PROFILE_NONE: not asked for */
	size_t *stamp_of_function, *stamp_of_line;   /* by entry: the last sample that it was met in, from 1 */
};

static void finder_release(struct finder *finder)
{
	free(finder->entry_of_function);
	free(finder->entry_of_line);
	free(finder->stamp_of_function);
	free(finder->stamp_of_line);
}

void source_lines_free(struct source_lines *lines)
{
	array_free(&lines->functions);
	array_free(&lines->lines);
}

/* ---- What is asked for ----------------------------------------------------------------------- */

static int find_functions(struct finder *finder, const regex_t *regex)
{
	const struct profile *profile = finder->profile;
	_cleanup_(hash_free) struct hash known = {0};
	for (size_t i = 0; i < profile->functions.count; i++) {
		const struct profile_function *function = &profile->functions.items[i];
		finder->entry_of_function[i] = PROFILE_NONE;
		if (regexec(regex, profile_text(profile, function->name), 0, NULL, 0) != 0)
			continue;
		uint64_t key = (uint64_t)function->name << 32 | function->file;
		uint64_t *entry = hash_get(&known, key);
		finder->entry_of_function[i] = entry ? (uint32_t)*entry : (uint32_t)finder->found->functions.count;
		if (entry)
			continue;
		struct source_function new = {.name = function->name, .file = function->file, .start_line = function->start_line};
		if (hash_put(&known, key, finder->found->functions.count) < 0 ||
		    array_add(&finder->found->functions, new) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int find_lines(struct finder *finder)
{
	const struct profile *profile = finder->profile;
	_cleanup_(hash_free) struct hash known = {0};
	for (size_t i = 0; i < profile->lines.count; i++) {
		const struct profile_line *line = &profile->lines.items[i];
		uint32_t function = line->function == PROFILE_NONE ? PROFILE_NONE : finder->entry_of_function[line->function];
		finder->entry_of_line[i] = PROFILE_NONE;
		if (function == PROFILE_NONE)
			continue;
		uint64_t key = (uint64_t)function << 32 | line->line;
		uint64_t *entry = hash_get(&known, key);
		finder->entry_of_line[i] = entry ? (uint32_t)*entry : (uint32_t)finder->found->lines.count;
		if (entry)
			continue;
		struct source_line new = {.function = function, .line = line->line};
		if (hash_put(&known, key, finder->found->lines.count) < 0 || array_add(&finder->found->lines, new) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- Sums ------------------------------------------------------------------------------------ */

static void add_sum(int64_t *sum, size_t *stamp, size_t sample, int64_t value)
{
	if (*stamp == sample + 1)
		return;
	*stamp = sample + 1;
	*sum = add_saturating(*sum, value);
}

static void add_line(struct finder *finder, uint32_t entry, size_t sample, bool is_leaf, int64_t value)
{
	struct source_line *line = &finder->found->lines.items[entry];
	struct source_function *function = &finder->found->functions.items[line->function];
	add_sum(&line->cumulative, &finder->stamp_of_line[entry], sample, value);
	add_sum(&function->cumulative, &finder->stamp_of_function[line->function], sample, value);
	if (!is_leaf)
		return;
	line->flat = add_saturating(line->flat, value);
	function->flat = add_saturating(function->flat, value);
}

static void add_samples(struct finder *finder, size_t column)
{
	const struct profile *profile = finder->profile;
	for (size_t i = 0; i < profile->samples.count; i++) {
		const struct profile_sample *sample = &profile->samples.items[i];
		int64_t value = profile->values.items[i * profile->sample_types.count + column];
		for (uint32_t k = 0; k < sample->location_count; k++) {
			uint32_t at = profile->stack_locations.items[sample->first_location + k];
			const struct profile_location *location = &profile->locations.items[at];
			for (uint32_t l = 0; l < location->line_count; l++) {
				uint32_t entry = finder->entry_of_line[location->first_line + l];
				if (entry != PROFILE_NONE)
					add_line(finder, entry, i, k == 0 && l == 0, value);
			}
		}
	}
}

/* ---- Order ----------------------------------------------------------------------------------- */

static int compare_functions(const void *left, const void *right)
{
	const struct source_function *a = left, *b = right;
	uint64_t cost_a = (uint64_t)magnitude_of(a->cumulative), cost_b = (uint64_t)magnitude_of(b->cumulative);
	if (cost_a != cost_b)
		return cost_a > cost_b ? -1 : 1;
	if (a->name != b->name)
		return a->name < b->name ? -1 : 1;
	return (a->file > b->file) - (a->file < b->file);
}

static int compare_lines(const void *left, const void *right)
{
	const struct source_line *a = left, *b = right;
	if (a->function != b->function)
		return a->function < b->function ? -1 : 1;
	return (a->line > b->line) - (a->line < b->line);
}

/* Functions are moved, and lines refer to them: until they are in order `first_line` is where the function was. */
static int sort(struct source_lines *found)
{
	size_t count = found->functions.count;
	_cleanup_free_ uint32_t *now_at = calloc(count + 1, sizeof(*now_at));
	if (!now_at)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		found->functions.items[i].first_line = i;
	if (count)
		qsort(found->functions.items, count, sizeof(*found->functions.items), compare_functions);
	for (size_t i = 0; i < count; i++)
		now_at[found->functions.items[i].first_line] = (uint32_t)i;
	for (size_t i = 0; i < found->lines.count; i++)
		found->lines.items[i].function = now_at[found->lines.items[i].function];
	if (found->lines.count)
		qsort(found->lines.items, found->lines.count, sizeof(*found->lines.items), compare_lines);
	for (size_t i = found->lines.count; i-- > 0;) {
		struct source_function *function = &found->functions.items[found->lines.items[i].function];
		function->first_line = i;
		function->line_count++;
	}
	while (found->functions.count && !found->functions.items[found->functions.count - 1].cumulative)
		found->functions.count--;
	return 0;
}

static int find(struct finder *finder, size_t value, const regex_t *regex)
{
	const struct profile *profile = finder->profile;
	finder->entry_of_function = calloc(profile->functions.count + 1, sizeof(*finder->entry_of_function));
	finder->entry_of_line = calloc(profile->lines.count + 1, sizeof(*finder->entry_of_line));
	if (!finder->entry_of_function || !finder->entry_of_line || find_functions(finder, regex) < 0 || find_lines(finder) < 0)
		return -ENOMEM;
	finder->stamp_of_function = calloc(finder->found->functions.count + 1, sizeof(*finder->stamp_of_function));
	finder->stamp_of_line = calloc(finder->found->lines.count + 1, sizeof(*finder->stamp_of_line));
	if (!finder->stamp_of_function || !finder->stamp_of_line)
		return -ENOMEM;
	add_samples(finder, value);
	return sort(finder->found);
}

int source_lines_find(const struct profile *profile, size_t value, const char *pattern, struct source_lines *ret,
		      struct text *error)
{
	*ret = (struct source_lines){0};
	regex_t regex;
	int r = expression_compile(pattern, &regex, error);
	if (r < 0)
		return r;
	_cleanup_(finder_release) struct finder finder = {.profile = profile, .found = ret};
	r = find(&finder, value, &regex);
	regfree(&regex);
	return r;
}
