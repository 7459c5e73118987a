/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which large pages the kernel gives out for a page fault (transparent huge pages), by order: log2 of the
 * small pages in one. Source: Documentation/admin-guide/mm/transhuge.rst.
 */
#pragma once

#include <stdint.h>

#define LARGE_PAGES_DIRECTORY "/sys/kernel/mm/transparent_hugepage"

/* Sets of orders. */
struct large_pages {
	uint32_t always;  /* wherever they fit */
	uint32_t advised; /* of them and besides, where madvise(MADV_HUGEPAGE) asked for them */
};

/* A kernel without them has none. `page_size` in bytes. */
void large_pages_read(const char *directory, uint32_t page_size, struct large_pages *ret);
