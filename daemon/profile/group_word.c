/* SPDX-License-Identifier: Apache-2.0 */
/* See group_word.h. */
#include "profile/group_word.h"

#include "base/hash.h"

#include <errno.h>
#include <string.h>

static const struct group_word group_words[] = {
	{"process", {"process.executable.name", "process.pid"}},
	{"executable", {"process.executable.name"}},
	{"binary", {NULL}},
	{"thread", {"thread.name"}},
	{"container", {"container.id"}},
	{"pod", {"k8s.pod.name"}},
	{"service", {"service.name"}},
};

struct group_word group_word_find(const char *word)
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

/* The file of the code that ran, which is the leaf's: a program, a library, the kernel, one of its modules. */
static void name_binary(const struct profile *profile, const struct profile_sample *sample, struct text *name)
{
	uint32_t mapping = PROFILE_NONE;
	if (sample->location_count)
		mapping = profile->locations.items[profile->stack_locations.items[sample->first_location]].mapping;
	const char *file =
		mapping == PROFILE_NONE ? "" : profile_text(profile, profile->mappings.items[mapping].file);
	text_add_string(name, *file ? text_base_name(file) : "[no binary]");
}

void group_word_name(const struct group_word *word, const struct profile *profile, const struct profile_sample *sample,
		     struct text *name)
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

int group_word_check(const struct profile *profile, const char *word, struct text *error)
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
