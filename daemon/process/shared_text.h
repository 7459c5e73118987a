/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference-counted text: a forked process has its parent's paths without copying them. Used as a
 * plain `char *`; the count stands in front of the bytes. One thread only.
 */
#pragma once

#include "base/attributes.h"

#include <string.h>

struct shared_text {
	uint32_t references;
	char bytes[];
};

/* A NUL-terminated copy with one reference. NULL when out of memory. */
static inline char *shared_text_new(const char *bytes, size_t length)
{
	struct shared_text *text = malloc(sizeof(*text) + length + 1);
	if (!text)
		return NULL;
	text->references = 1;
	memcpy(text->bytes, bytes, length);
	text->bytes[length] = '\0';
	return text->bytes;
}

/* Accepts NULL. */
static inline char *shared_text_reference(char *bytes)
{
	if (bytes)
		container_of(bytes, struct shared_text, bytes)->references++;
	return bytes;
}

/* Accepts NULL, returns NULL. */
static inline char *shared_text_unreference(char *bytes)
{
	if (bytes) {
		struct shared_text *text = container_of(bytes, struct shared_text, bytes);
		if (--text->references == 0)
			free(text);
	}
	return NULL;
}
