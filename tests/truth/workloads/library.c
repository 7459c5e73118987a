/* SPDX-License-Identifier: Apache-2.0 */
/* The library whose one function is called through the PLT. */
#include "library.h"

uint64_t library_leaf(uint64_t value)
{
	return (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
}
