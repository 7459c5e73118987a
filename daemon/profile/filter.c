/* SPDX-License-Identifier: Apache-2.0 */
/* See filter.h. Each location is matched once, then each sample is a look at its locations' bits. */
#include "profile/filter.h"

#include "base/expression.h"
#include "profile/group_word.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool location_matches(const struct profile *profile, uint32_t index, const regex_t *regex)
{
	const struct profile_location *location = &profile->locations.items[index];
	uint32_t lines = MAX_OF(location->line_count, 1u);
	for (uint32_t line = 0; line < lines; line++) {
		char buffer[512];
		const char *name =
			profile_frame_name(profile, location, line, buffer, sizeof(buffer));
		if (regexec(regex, name, 0, NULL, 0) == 0)
			return true;
	}
	return false;
}

static bool sample_matches(const struct profile *profile, const struct profile_sample *sample,
			   const bool *matches)
{
	for (uint32_t i = 0; i < sample->location_count; i++)
		if (matches[profile->stack_locations.items[sample->first_location + i]])
			return true;
	return false;
}

static void move_sample(struct profile *profile, size_t from, size_t to)
{
	size_t types = profile->sample_types.count;
	profile->samples.items[to] = profile->samples.items[from];
	memmove(profile->values.items + to * types, profile->values.items + from * types,
		types * sizeof(*profile->values.items));
}

static void cut_samples(struct profile *profile, size_t count)
{
	profile->samples.count = count;
	profile->values.count = count * profile->sample_types.count;
}

/* Keeps the samples that match, or those that do not. */
static int keep(struct profile *profile, const char *pattern, bool wanted, struct text *error)
{
	regex_t regex;
	int r = expression_compile(pattern, &regex, error);
	if (r < 0)
		return r;
	_cleanup_(regfree) regex_t owned = regex;
	_cleanup_free_ bool *matches = calloc(profile->locations.count + 1, sizeof(*matches));
	if (!matches)
		return -ENOMEM;
	for (uint32_t i = 0; i < profile->locations.count; i++)
		matches[i] = location_matches(profile, i, &owned);

	size_t kept = 0;
	for (size_t i = 0; i < profile->samples.count; i++)
		if (sample_matches(profile, &profile->samples.items[i], matches) == wanted)
			move_sample(profile, i, kept++);
	cut_samples(profile, kept);
	return 0;
}

int profile_filter(struct profile *profile, const char *focus, const char *ignore,
		   struct text *error)
{
	int r = focus ? keep(profile, focus, true, error) : 0;
	return r == 0 && ignore ? keep(profile, ignore, false, error) : r;
}

/* ---- By what a sample belongs to --------------------------------------------------------------- */

/* One "WORD=REGEX". */
struct condition {
	char *text; /* owned; the word, cut off */
	struct group_word word;
	regex_t regex;
};

struct conditions {
	ARRAY(struct condition) list;
};

static void conditions_release(struct conditions *conditions)
{
	for (size_t i = 0; i < conditions->list.count; i++) {
		regfree(&conditions->list.items[i].regex);
		free(conditions->list.items[i].text);
	}
	array_free(&conditions->list);
}

static int add_condition(const struct profile *profile, const char *text, struct conditions *conditions,
			 struct text *error)
{
	_cleanup_free_ char *word = strdup(text);
	char *equals = word ? strchr(word, '=') : NULL;
	if (!word)
		return -ENOMEM;
	if (!equals || equals == word || !equals[1]) {
		text_add(error, "'%s' is not WORD=REGEX, such as process=nginx", text);
		return -EINVAL;
	}
	*equals = '\0';
	struct condition condition = {.word = group_word_find(word)};
	int r = group_word_check(profile, word, error);
	if (r == 0)
		r = expression_compile(equals + 1, &condition.regex, error);
	if (r < 0)
		return r;
	if (array_add(&conditions->list, condition) < 0) {
		regfree(&condition.regex);
		return -ENOMEM;
	}
	conditions->list.items[conditions->list.count - 1].text = take_pointer(word);
	return 0;
}

/* Returns 1, 0, or -ENOMEM. */
static int matches_condition(const struct profile *profile, const struct profile_sample *sample,
			     const struct condition *condition)
{
	struct text name = {0};
	group_word_name(&condition->word, profile, sample, &name);
	int r = name.failed ? -ENOMEM : regexec(&condition->regex, name.bytes ? name.bytes : "", 0, NULL, 0) == 0;
	text_free(&name);
	return r;
}

/* Does some condition of each word match? Returns 1, 0, or -ENOMEM. */
static int matches_all_words(const struct profile *profile, const struct profile_sample *sample,
			     const struct conditions *conditions)
{
	const struct condition *items = conditions->list.items;
	int matches = 1;
	for (size_t i = 0; matches == 1 && i < conditions->list.count; i++) {
		matches = 0;
		for (size_t k = 0; matches == 0 && k < conditions->list.count; k++)
			if (strcmp(items[k].text, items[i].text) == 0)
				matches = matches_condition(profile, sample, &items[k]);
	}
	return matches;
}

/* Returns 1, 0, or -ENOMEM. */
static int matches_any(const struct profile *profile, const struct profile_sample *sample,
		       const struct conditions *conditions)
{
	int matches = 0;
	for (size_t i = 0; matches == 0 && i < conditions->list.count; i++)
		matches = matches_condition(profile, sample, &conditions->list.items[i]);
	return matches;
}

int profile_filter_groups(struct profile *profile, const char *const *groups, size_t count, bool wanted,
			  struct text *error)
{
	_cleanup_(conditions_release) struct conditions conditions = {0};
	size_t kept = 0;
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_condition(profile, groups[i], &conditions, error);
	for (size_t i = 0; r == 0 && i < profile->samples.count; i++) {
		const struct profile_sample *sample = &profile->samples.items[i];
		int matches = wanted ? matches_all_words(profile, sample, &conditions)
				     : matches_any(profile, sample, &conditions);
		if (matches == wanted)
			move_sample(profile, i, kept++);
		r = MIN_OF(matches, 0);
	}
	if (r == 0)
		cut_samples(profile, kept);
	return r;
}
