/* SPDX-License-Identifier: Apache-2.0 */
/* See unknown_key.h. The likeliest comes first: what stands in the same section, then elsewhere. */
#include "service/unknown_key.h"

#include "base/nearest_word.h"

#include <stdio.h>
#include <string.h>

#define MAX_NAMES 64

/* The names that may stand in a section, in the order of the table. */
struct section_names {
	char texts[MAX_NAMES][64];
	const char *items[MAX_NAMES];
	size_t count;
};

static void add_name(struct section_names *names, const char *name, size_t length)
{
	char *text = names->texts[names->count];
	if (names->count == MAX_NAMES)
		return;
	snprintf(text, sizeof(names->texts[0]), "%.*s", (int)length, name);
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->items[i], text) == 0)
			return;
	names->items[names->count++] = text;
}

/* The next part of each key under the prefix. */
static void find_names(const struct unknown_key *key, struct section_names *ret)
{
	size_t length = strlen(key->prefix);
	ret->count = 0;
	for (const struct setting *setting = key->table; setting->kind; setting++) {
		if (strncmp(setting->key, key->prefix, length) == 0)
			add_name(ret, setting->key + length, strcspn(setting->key + length, "."));
	}
	if (key->table == configuration_settings && !*key->prefix) {
		add_name(ret, EXPORTERS_KEY, strlen(EXPORTERS_KEY));
		add_name(ret, STRATEGIES_KEY, strlen(STRATEGIES_KEY));
	}
}

static const char *next_word(const char *word)
{
	word += strcspn(word, "_");
	return word + (*word == '_');
}

/* Is a word of the one, parted by '_', also one of the other: "max_size" and "size"? "max" says nothing of what. */
static bool share_word(const char *a, const char *b)
{
	for (; *a; a = next_word(a)) {
		size_t length = strcspn(a, "_");
		if (length <= strlen("max"))
			continue;
		for (const char *at = b; *at; at = next_word(at))
			if (strcspn(at, "_") == length && strncmp(a, at, length) == 0)
				return true;
	}
	return false;
}

/* The beginning of a name, "cert" for "certificate", says more than its letters. */
static const char *nearest_in_section(const struct unknown_key *key, const struct section_names *names)
{
	size_t length = strlen(key->name);
	for (size_t i = 0; i < names->count && length; i++)
		if (strncmp(names->items[i], key->name, length) == 0)
			return names->items[i];
	const char *near = nearest_word(key->name, names->items, names->count);
	for (size_t i = 0; i < names->count && !near; i++)
		if (share_word(names->items[i], key->name))
			near = names->items[i];
	return near;
}

static const char *find_last_part(const struct setting *table, const char *name)
{
	for (const struct setting *setting = table; setting->kind; setting++) {
		const char *dot = strrchr(setting->key, '.');
		if (strcmp(dot ? dot + 1 : setting->key, name) == 0)
			return setting->key;
	}
	return NULL;
}

static const struct {
	const struct setting *table;
	const char *place;
} tables[] = {
	{configuration_settings, ""},
	{exporter_settings, EXPORTERS_KEY "[]."},
	{strategy_settings, STRATEGIES_KEY "[]."},
};

/* Where else is it: the whole of it in another table, or only its last part in this or another one? */
static bool suggest_elsewhere(const struct unknown_key *key, struct text *out)
{
	_cleanup_free_ char *whole = text_format("%s%s", key->prefix, key->name);
	const char *found = NULL, *place = key->place;
	for (size_t i = 0; i < ARRAY_LENGTH(tables) && !found && whole; i++)
		if (tables[i].table != key->table && setting_find(tables[i].table, whole)) {
			found = whole;
			place = tables[i].place;
		}
	if (!found)
		found = find_last_part(key->table, key->name);
	for (size_t i = 0; i < ARRAY_LENGTH(tables) && !found; i++) {
		found = find_last_part(tables[i].table, key->name);
		place = found ? tables[i].place : place;
	}
	if (found)
		text_add(out, "; did you mean %s%s?", place, found);
	return found;
}

/* "sampling.frequency: 19" in one line. */
static bool suggest_sections(const struct unknown_key *key, struct text *out)
{
	_cleanup_free_ char *whole = text_format("%s%s", key->prefix, key->name);
	const char *dot = strrchr(key->name, '.');
	if (!dot || !whole || !setting_find(key->table, whole))
		return false;
	text_add(out, "; a key has no dots, write '%s:' below '%.*s:'", dot + 1, (int)(dot - key->name), key->name);
	return true;
}

static void list_names(const struct unknown_key *key, const struct section_names *names, struct text *out)
{
	size_t length = strlen(key->prefix);
	text_add(out, "; there %s ", names->count == 1 ? "is" : "are");
	for (size_t i = 0; i < names->count; i++)
		text_add(out, "%s%s", i == 0 ? "" : i + 1 == names->count ? " and " : ", ", names->items[i]);
	if (length)
		text_add(out, " in %s%.*s", key->place, (int)length - 1, key->prefix);
}

void unknown_key_explain(const struct unknown_key *key, struct text *out)
{
	struct section_names names;
	if (suggest_sections(key, out))
		return;
	find_names(key, &names);
	const char *near = nearest_in_section(key, &names);
	if (near)
		text_add(out, "; did you mean %s%s%s?", key->place, key->prefix, near);
	else if (!suggest_elsewhere(key, out))
		list_names(key, &names, out);
}
