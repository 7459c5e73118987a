/* SPDX-License-Identifier: Apache-2.0 */
/* The other one: the same address holds a function with a large frame. */
#include "workload.h"

uint64_t second_library_work(uint64_t units, uint64_t seed)
{
	volatile uint64_t table[32] = {seed};

	for (uint64_t unit = 0; unit < units; unit++)
		table[unit & 31] = table[(unit + 7) & 31] * 25214903917ULL + unit;
	return table[seed & 31];
}
