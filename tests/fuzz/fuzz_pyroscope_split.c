/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign messages are refused or cut: halves of halves too, and no event gets lost. */
#include "format/pyroscope.h"

#include <errno.h>

#define MAX_DEPTH 4
#define SAMPLES 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void split(const void *bytes, size_t size, uint64_t samples, int depth)
{
	struct pprof_half halves[2];
	int r = pyroscope_split(bytes, size, samples, halves);
	require(r == 0 || r == -E2BIG || r == -EBADMSG || r == -EFBIG);
	if (r < 0)
		return;
	require(halves[0].events + halves[1].events == samples);
	for (int i = 0; i < 2; i++) {
		require(halves[i].bytes.length > 0);
		if (depth < MAX_DEPTH)
			split(halves[i].bytes.bytes, halves[i].bytes.length, halves[i].events, depth + 1);
		text_free(&halves[i].bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	split(data, size, SAMPLES, 0);
	return 0;
}
