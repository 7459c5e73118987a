/* SPDX-License-Identifier: Apache-2.0 */
/* See grouping.h. Names are made once for each sample and level, frames once for each name. */
#include "profile/grouping.h"

#include "base/text.h"
#include "profile/group_word.h"

#include <errno.h>
#include <string.h>

/* ---- Groups ---------------------------------------------------------------------------------- */

/* The index of a new function of that name, or PROFILE_NONE when memory is out. */
static uint32_t add_function(struct profile *profile, uint32_t name)
{
	struct profile_function function = {.name = name, .system_name = name};
	if (array_add(&profile->functions, function) < 0)
		return PROFILE_NONE;
	return (uint32_t)profile->functions.count - 1;
}

static int add_group_location(struct profile *profile, uint32_t name, uint32_t *ret)
{
	struct profile_line line = {.function = add_function(profile, name)};
	struct profile_location location = {.mapping = PROFILE_NONE,
					    .first_line = (uint32_t)profile->lines.count,
					    .line_count = 1,
					    .type = FRAME_TYPE_MARK};
	*ret = (uint32_t)profile->locations.count;
	if (line.function == PROFILE_NONE || array_add(&profile->lines, line) < 0 ||
	    array_add(&profile->locations, location) < 0)
		return -ENOMEM;
	return 0;
}

/* The location of a sample's group; `known` has those made so far, by name. */
static int group_location(struct profile *profile, const struct profile_sample *sample,
			  const struct group_word *word, struct hash *known, uint32_t *ret)
{
	struct text name = {0};
	bool failed = false;
	group_word_name(word, profile, sample, &name);
	uint32_t string = profile_string(profile, name.bytes ? name.bytes : "", &failed);
	failed |= name.failed;
	text_free(&name);
	if (failed)
		return -ENOMEM;
	uint64_t *found = hash_get(known, string);
	if (found) {
		*ret = (uint32_t)*found;
		return 0;
	}
	int r = add_group_location(profile, string, ret);
	return r < 0 ? r : hash_put(known, string, *ret);
}

/* One level, outside of what is there: stacks are kept leaf first, so it goes to their end. */
static int group_by_word(struct profile *profile, const struct group_word *word)
{
	_cleanup_(hash_free) struct hash known = {0};
	ARRAY(uint32_t) stacks = {0};
	int r = array_reserve(&stacks, profile->stack_locations.count + profile->samples.count + 1);
	for (size_t i = 0; r == 0 && i < profile->samples.count; i++) {
		struct profile_sample *sample = &profile->samples.items[i];
		uint32_t first = (uint32_t)stacks.count, group;
		r = group_location(profile, sample, word, &known, &group);
		for (uint32_t k = 0; r == 0 && k < sample->location_count; k++)
			r = array_add(&stacks, profile->stack_locations
						       .items[sample->first_location + k]);
		if (r == 0)
			r = array_add(&stacks, group);
		sample->first_location = first;
		sample->location_count++;
	}
	free(profile->stack_locations.items);
	profile->stack_locations.items = stacks.items;
	profile->stack_locations.count = stacks.count;
	profile->stack_locations.capacity = stacks.capacity;
	return r;
}

int profile_check_grouping(const struct profile *profile, const char *by, struct text *error)
{
	_cleanup_free_ char *words = strdup(by);
	int r = words ? 0 : -ENOMEM;
	char *rest = words;
	for (char *word; r == 0 && (word = strsep(&rest, ","));)
		r = group_word_check(profile, word, error);
	return r;
}

int profile_group_by(struct profile *profile, const char *by)
{
	_cleanup_free_ char *words = strdup(by);
	int r = words ? 0 : -ENOMEM;
	/* From the last word, which is innermost, to the first. */
	for (char *comma; r == 0 && words;) {
		comma = strrchr(words, ',');
		struct group_word word = group_word_find(comma ? comma + 1 : words);
		r = group_by_word(profile, &word);
		profile->group_levels++;
		if (!comma)
			break;
		*comma = '\0';
	}
	return r;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static int function_of_line(struct profile *profile, const struct profile_line *line,
			    struct hash *known, uint32_t *ret)
{
	uint64_t key = (uint64_t)line->function << 32 | line->line;
	uint64_t *found = hash_get(known, key);
	if (found) {
		*ret = (uint32_t)*found;
		return 0;
	}
	const struct profile_function old = profile->functions.items[line->function];
	const char *file = profile_text(profile, old.file);
	_cleanup_free_ char *name =
		text_format("%s %s:%u", profile_text(profile, old.name),
			    *file ? text_base_name(file) : "line", line->line);
	bool failed = !name;
	uint32_t string = failed ? 0 : profile_string(profile, name, &failed);
	*ret = failed ? PROFILE_NONE : add_function(profile, string);
	if (*ret == PROFILE_NONE)
		return -ENOMEM;
	profile->functions.items[*ret].system_name = old.system_name;
	profile->functions.items[*ret].file = old.file;
	profile->functions.items[*ret].start_line = old.start_line;
	return hash_put(known, key, *ret);
}

int profile_split_lines(struct profile *profile)
{
	_cleanup_(hash_free) struct hash known = {0};
	for (size_t i = 0; i < profile->lines.count; i++) {
		struct profile_line *line = &profile->lines.items[i];
		uint32_t function;
		if (line->function == PROFILE_NONE || !line->line)
			continue;
		int r = function_of_line(profile, line, &known, &function);
		if (r < 0)
			return r;
		line->function = function;
	}
	return 0;
}

/* ---- Files without names ----------------------------------------------------------------------- */

/* The function that all code of that name is; `known` has those made so far, by the string of the name. */
static int function_of_name(struct profile *profile, const char *name, struct hash *known, uint32_t *ret)
{
	bool failed = false;
	uint32_t string = profile_string(profile, name, &failed);
	uint64_t *found = failed ? NULL : hash_get(known, string);
	*ret = failed ? PROFILE_NONE : found ? (uint32_t)*found : add_function(profile, string);
	if (*ret == PROFILE_NONE)
		return -ENOMEM;
	return found ? 0 : hash_put(known, string, *ret);
}

int profile_join_unnamed(struct profile *profile)
{
	_cleanup_(hash_free) struct hash known = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < profile->locations.count; i++) {
		struct profile_location *location = &profile->locations.items[i];
		struct profile_line line = {0};
		char buffer[512];
		if (location->line_count)
			continue;
		const char *name = profile_plain_name(profile, location, buffer, sizeof(buffer));
		r = function_of_name(profile, name, &known, &line.function);
		location->first_line = (uint32_t)profile->lines.count;
		location->line_count = 1;
		if (r == 0)
			r = array_add(&profile->lines, line);
	}
	return r;
}
