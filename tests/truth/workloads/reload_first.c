/* SPDX-License-Identifier: Apache-2.0 */
/* One of the two libraries that take turns at one address: a leaf without a frame. */
#include "workload.h"

uint64_t first_library_work(uint64_t units, uint64_t seed)
{
	uint64_t value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	return value;
}
