/* SPDX-License-Identifier: Apache-2.0 */
/* See grouping.h. Names are made once for each sample and level, frames once for each name. */
#include "profile/grouping.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>

/* ---- Groups ---------------------------------------------------------------------------------- */

struct group_word {
	const char *word;
	const char *keys[2]; /* of labels, the second one behind the first, in parentheses; none: the binary */
};

static const struct group_word group_words[] = {
	{"process", {"process.executable.name", "process.pid"}},
	{"executable", {"process.executable.name"}},
	{"binary", {NULL}},
	{"thread", {"thread.name"}},
	{"container", {"container.id"}},
	{"pod", {"k8s.pod.name"}},
	{"service", {"service.name"}},
};

static struct group_word find_word(const char *word)
{
	for (size_t i = 0; i < ARRAY_LENGTH(group_words); i++)
		if (strcmp(group_words[i].word, word) == 0)
			return group_words[i];
	return (struct group_word){.word = word, .keys = {word}};
}

static const struct profile_label *find_label(const struct profile *profile,
					      const struct profile_sample *sample, const char *key)
{
	for (uint32_t i = 0; i < sample->label_count; i++) {
		const struct profile_label *label =
			&profile->labels.items[sample->first_label + i];
		if (strcmp(profile_text(profile, label->key), key) == 0)
			return label;
	}
	return NULL;
}

static void add_value(const struct profile *profile, const struct profile_label *label,
		      struct text *name)
{
	if (label->text)
		text_add_string(name, profile_text(profile, label->text));
	else
		text_add(name, "%lld", (long long)label->number);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* The file of the code that ran, which is the leaf's: a program, a library, the kernel, one of its modules. */
static void name_binary(const struct profile *profile, const struct profile_sample *sample, struct text *name)
{
	uint32_t mapping = PROFILE_NONE;
	if (sample->location_count)
		mapping = profile->locations.items[profile->stack_locations.items[sample->first_location]].mapping;
	const char *file =
		mapping == PROFILE_NONE ? "" : profile_text(profile, profile->mappings.items[mapping].file);
	text_add_string(name, *file ? base_name(file) : "[no binary]");
}

static void name_group(const struct profile *profile, const struct profile_sample *sample,
		       const struct group_word *word, struct text *name)
{
	if (!word->keys[0]) {
		name_binary(profile, sample, name);
		return;
	}
	const struct profile_label *label = find_label(profile, sample, word->keys[0]);
	if (!label) {
		text_add(name, "[no %s]", word->keys[0]);
		return;
	}
	add_value(profile, label, name);
	label = word->keys[1] ? find_label(profile, sample, word->keys[1]) : NULL;
	if (label) {
		text_add_string(name, " (");
		add_value(profile, label, name);
		text_add_char(name, ')');
	}
}

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
	name_group(profile, sample, word, &name);
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

static bool is_label_of_some_sample(const struct profile *profile, const char *key)
{
	for (size_t i = 0; i < profile->labels.count; i++)
		if (strcmp(profile_text(profile, profile->labels.items[i].key), key) == 0)
			return true;
	return false;
}

/* ": process.pid, thread.id", each once, in the order of the file. */
static int add_label_keys(const struct profile *profile, struct text *out)
{
	_cleanup_(hash_free) struct hash told = {0};
	for (size_t i = 0; i < profile->labels.count; i++) {
		uint32_t key = profile->labels.items[i].key;
		if (hash_get(&told, key))
			continue;
		if (hash_put(&told, key, 1) < 0)
			return -ENOMEM;
		text_add_string(out, told.count == 1 ? ": " : ", ");
		text_add_printable(out, profile_text(profile, key));
	}
	return 0;
}

static int check_word(const struct profile *profile, const char *word, struct text *error)
{
	for (size_t i = 0; i < ARRAY_LENGTH(group_words); i++)
		if (strcmp(group_words[i].word, word) == 0)
			return 0;
	if (is_label_of_some_sample(profile, word))
		return 0;
	text_add(error, "there is no label '%s'; the profile has %s", word,
		 profile->labels.count ? "these" : "none");
	return add_label_keys(profile, error) < 0 ? -ENOMEM : -EINVAL;
}

int profile_check_grouping(const struct profile *profile, const char *by, struct text *error)
{
	_cleanup_free_ char *words = strdup(by);
	int r = words ? 0 : -ENOMEM;
	char *rest = words;
	for (char *word; r == 0 && (word = strsep(&rest, ","));)
		r = check_word(profile, word, error);
	return r;
}

int profile_group_by(struct profile *profile, const char *by)
{
	_cleanup_free_ char *words = strdup(by);
	int r = words ? 0 : -ENOMEM;
	/* From the last word, which is innermost, to the first. */
	for (char *comma; r == 0 && words;) {
		comma = strrchr(words, ',');
		struct group_word word = find_word(comma ? comma + 1 : words);
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
			    *file ? base_name(file) : "line", line->line);
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
