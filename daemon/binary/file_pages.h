/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser child's hold on the pages of large mapped files. Whatever walks such a file leaves all it has touched
 * mapped, and a file of 4 GB that claims to be one section costs 4 GB of resident memory, which a container's limit
 * counts. So, after each so much CPU time, the pages of those files are let go: they stay in the page cache, where the
 * kernel takes them back as it likes, and what is still needed comes back by a soft fault for each 64 KiB.
 *
 * One for the process, because a signal's handler has no other way to it. For one thread.
 */
#pragma once

#include "base/attributes.h"

/* Files smaller than this are left alone. */
#define FILE_PAGES_LARGE (256UL << 20)

/* From now on, every 20 ms of this process's CPU time. Before the sandbox is entered, which allows neither call.
 * Returns 0 or -errno. Without it the other two do nothing of note. */
int file_pages_start(void);

/* A part of a file, mapped privately, of which nothing was written to: page-aligned at its start. Smaller ones than
 * FILE_PAGES_LARGE, and more than a few at once, are not noted. */
void file_pages_add(void *start, size_t size);

/* Before anything of [start, start + size) is unmapped or written to; what was added there is forgotten whole. */
void file_pages_remove(const void *start, size_t size);
