/* SPDX-License-Identifier: Apache-2.0 */
/* A demangled name is bounded, valid UTF-8 without control characters, and stays what it is. */
#include "binary/demangle.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check(const struct text *name)
{
	struct text again = {0};
	for (size_t i = 0; i < name->length; i++)
		require((unsigned char)name->bytes[i] >= ' ' && name->bytes[i] != 0x7f);
	text_add_utf8(&again, name->bytes, name->length);
	require(again.length == name->length && !memcmp(again.bytes, name->bytes, name->length));
	text_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text name = {0};
	char *mangled = malloc(size + 1);
	require(mangled);
	memcpy(mangled, data, size);
	mangled[size] = '\0';
	int r = demangle(mangled, &name);
	require(r == 0 || r == 1);
	require(r == 0 || name.length <= DEMANGLE_MAX_OUTPUT);
	if (name.length)
		check(&name);
	text_free(&name);
	free(mangled);
	return 0;
}
