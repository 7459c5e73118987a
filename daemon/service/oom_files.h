/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profiles of processes that the kernel killed for lack of memory, as files in a directory of their own:
 * bounded, the oldest go first. Writing waits for no disk: it has a queue and threads, like an exporter.
 */
#pragma once

#include "profile/recording.h"

struct oom_files;

/* Returns 0 or -errno. */
int oom_files_new(const char *directory, uint64_t max_bytes, struct oom_files **ret);

/* Writes what waits, for at most `timeout_ns`, and frees. Accepts NULL. Returns NULL. */
struct oom_files *oom_files_free(struct oom_files *files, uint64_t timeout_ns);

/* Queues the victim's profiles. What fails is logged. */
void oom_files_add(struct oom_files *files, const struct recording_victim *victim);
