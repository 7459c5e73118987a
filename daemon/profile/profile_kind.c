/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/profile_kind.h"

#include <errno.h>
#include <string.h>

static const char *const words[] = {
#define KIND_WORD(id, word, what) word,
	BOLOMETER_PROFILE_KINDS(KIND_WORD)
#undef KIND_WORD
};

const char *profile_kind_word(enum profile_kind kind)
{
	return words[kind];
}

static int find_word(const char *word, size_t length)
{
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		if (strlen(words[kind]) == length && memcmp(words[kind], word, length) == 0)
			return kind;
	return -EINVAL;
}

int profile_kinds_parse(const char *list, unsigned *ret)
{
	unsigned kinds = 0;
	for (const char *word = list;;) {
		size_t length = strcspn(word, ",");
		int kind = find_word(word, length);
		if (kind < 0)
			return kind;
		kinds |= PROFILE_KIND_BIT(kind);
		if (!word[length])
			break;
		word += length + 1;
	}
	*ret = kinds;
	return 0;
}

int profile_kind_of_event(unsigned event)
{
	switch (event) {
	case EVENT_CPU:
		return PROFILE_KIND_CPU;
	case EVENT_GROWTH:
	case EVENT_COPIED:
		return PROFILE_KIND_GROWTH;
	case EVENT_ALLOCATION:
		return PROFILE_KIND_HEAP;
	default:
		return -1;
	}
}
