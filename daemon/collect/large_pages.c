/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Since 6.8 each size has a switch of its own, "always", "madvise", "never" or "inherit": then that of the
 * whole holds. Before, there is one size, that of hpage_pmd_size.
 */
#include "collect/large_pages.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ORDER 31

/* The word in brackets of "always [madvise] never" is this one. */
static bool is_chosen(const char *directory, const char *name, const char *word)
{
	_cleanup_free_ char *text = NULL;
	char path[512], chosen[32];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	snprintf(chosen, sizeof(chosen), "[%s]", word);
	return read_whole_file(path, 4096, &text, NULL) == 0 && strstr(text, chosen);
}

static void add_order(const char *directory, const char *name, const char *outer, unsigned order,
		      struct large_pages *ret)
{
	/* What is inherited is told by the switch of the whole. */
	const char *deciding = is_chosen(directory, name, "inherit") ? outer : name;
	if (is_chosen(directory, deciding, "always"))
		ret->always |= 1U << order;
	if (is_chosen(directory, deciding, "always") || is_chosen(directory, deciding, "madvise"))
		ret->advised |= 1U << order;
}

static void read_size(const char *directory, uint64_t bytes, uint32_t page_size, struct large_pages *ret)
{
	char name[64];
	if (bytes < 2ULL * page_size || (bytes & (bytes - 1)))
		return;
	unsigned order = (unsigned)__builtin_ctzll(bytes / page_size);
	if (order > MAX_ORDER)
		return;
	snprintf(name, sizeof(name), "hugepages-%llukB/enabled", (unsigned long long)bytes / 1024);
	_cleanup_free_ char *text = NULL;
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	bool has_own_switch = read_whole_file(path, 4096, &text, NULL) == 0;
	add_order(directory, has_own_switch ? name : "enabled", "enabled", order, ret);
}

void large_pages_read(const char *directory, uint32_t page_size, struct large_pages *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[512];
	*ret = (struct large_pages){0};
	snprintf(path, sizeof(path), "%s/hpage_pmd_size", directory);
	if (read_whole_file(path, 64, &text, NULL) < 0)
		return;
	uint64_t largest = strtoull(text, NULL, 10);
	for (uint64_t bytes = 2ULL * page_size; bytes <= largest; bytes *= 2) {
		snprintf(path, sizeof(path), "%s/hugepages-%llukB/enabled", directory,
			 (unsigned long long)bytes / 1024);
		_cleanup_free_ char *own = NULL;
		if (bytes == largest || read_whole_file(path, 64, &own, NULL) == 0)
			read_size(directory, bytes, page_size, ret);
	}
}
