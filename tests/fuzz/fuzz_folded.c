/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader of folded stacks takes is sound; what was written twice reads and writes the same. */
#include "format/folded.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Reads and writes; false when the reader refuses. */
static bool pass(const char *bytes, size_t size, struct text *out)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct folded_failure failure;
	int r = folded_decode(bytes, size, &failure, &profile);
	if (r < 0) {
		require(r == -EBADMSG && failure.text[0]);
		return false;
	}
	require(profile_check(profile) == 0);
	require(folded_encode(profile, out) == 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text passes[3] = {0};
	bool more = pass((const char *)data, size, &passes[0]);
	/* Values of equal stacks may sum to 0: then nothing is written and nothing can be read. */
	for (int i = 1; i < 3 && more && passes[i - 1].length; i++)
		require(pass(passes[i - 1].bytes, passes[i - 1].length, &passes[i]));
	/* The first pass replaces bytes in names, after which they sort otherwise. */
	if (passes[1].length)
		require(passes[1].length == passes[2].length &&
			!memcmp(passes[1].bytes, passes[2].bytes, passes[1].length));
	for (int i = 0; i < 3; i++)
		text_free(&passes[i]);
	return 0;
}
