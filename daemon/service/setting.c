/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what can be done with the field of any row; see setting.h. */
#include "service/setting.h"

#include <errno.h>
#include <string.h>

#define FIELD(type, setting, target) ((type *)((char *)(target) + (setting)->offset))
#define VALUE(type, setting, target) (*(const type *)((const char *)(target) + (setting)->offset))

const struct setting *setting_find(const struct setting *table, const char *key)
{
	for (const struct setting *setting = table; setting->kind; setting++)
		if (strcmp(setting->key, key) == 0)
			return setting;
	return NULL;
}

bool setting_is_scalar(const struct setting *setting)
{
	return setting->kind != SETTING_TEXTS && setting->kind != SETTING_PAIRS;
}

int setting_texts_add(struct setting_texts *texts, const char *value)
{
	_cleanup_free_ char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	int r = array_add(texts, copy);
	if (r == 0)
		take_pointer(copy);
	return r;
}

/* Overwrites a text that may be a secret before its memory is somebody else's. */
static void free_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void setting_free_pairs(struct sink_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->items[i].name);
		free_secret(pairs->items[i].value);
	}
	array_free(pairs);
}

void setting_free_texts(struct setting_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->items[i]);
	array_free(texts);
}

static void setting_free(const struct setting *setting, void *target)
{
	if (setting->kind == SETTING_TEXT)
		free(take_pointer(*FIELD(char *, setting, target)));
	else if (setting->kind == SETTING_TEXTS)
		setting_free_texts(FIELD(struct setting_texts, setting, target));
	else if (setting->kind == SETTING_PAIRS)
		setting_free_pairs(FIELD(struct sink_pairs, setting, target));
}

void settings_free(const struct setting *table, void *target)
{
	for (const struct setting *setting = table; setting->kind; setting++)
		setting_free(setting, target);
}

int settings_set_defaults(const struct setting *table, void *target)
{
	struct text problem = {0};
	int r = 0;
	for (const struct setting *setting = table; setting->kind && r == 0; setting++)
		if (setting->initial)
			r = setting_parse(setting, target, setting->initial, &problem);
	text_free(&problem);
	return r;
}

/* ---- Comparing ----------------------------------------------------------------------------------- */

static bool texts_equal(const struct setting_texts *a, const struct setting_texts *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

static bool strings_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool setting_equal(const struct setting *setting, const void *a, const void *b)
{
	switch (setting->kind) {
	case SETTING_FLAG:
		return VALUE(bool, setting, a) == VALUE(bool, setting, b);
	case SETTING_CHOICE:
		return VALUE(int, setting, a) == VALUE(int, setting, b);
	case SETTING_TEXT:
		return strings_equal(VALUE(char *, setting, a), VALUE(char *, setting, b));
	case SETTING_TEXTS:
		return texts_equal(&VALUE(struct setting_texts, setting, a),
				   &VALUE(struct setting_texts, setting, b));
	case SETTING_PAIRS:
		return sink_pairs_equal(&VALUE(struct sink_pairs, setting, a),
				   &VALUE(struct sink_pairs, setting, b));
	default:
		return VALUE(uint64_t, setting, a) == VALUE(uint64_t, setting, b);
	}
}

static size_t field_size(const struct setting *setting)
{
	switch (setting->kind) {
	case SETTING_FLAG:
		return sizeof(bool);
	case SETTING_CHOICE:
		return sizeof(int);
	case SETTING_TEXT:
		return sizeof(char *);
	case SETTING_TEXTS:
		return sizeof(struct setting_texts);
	case SETTING_PAIRS:
		return sizeof(struct sink_pairs);
	default:
		return sizeof(uint64_t);
	}
}

void setting_swap(const struct setting *setting, void *a, void *b)
{
	char kept[sizeof(struct sink_pairs) + sizeof(struct setting_texts)];
	size_t size = field_size(setting);
	memcpy(kept, (char *)a + setting->offset, size);
	memcpy((char *)a + setting->offset, (char *)b + setting->offset, size);
	memcpy((char *)b + setting->offset, kept, size);
}
