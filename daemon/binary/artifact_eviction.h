/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the cache's directory within its size. */
#pragma once

#include "base/attributes.h"

/* Names of files that are being written. One left behind by a crash is deleted after an hour. */
#define ARTIFACT_TEMPORARY_PREFIX ".new-"

/*
 * Lists the directory and, when its files together have more than `max_bytes`, deletes the least
 * recently used (by access time) until they have an eighth less. `now_ns` is CLOCK_REALTIME; *evicted
 * is increased. Returns 0 with the bytes left in *ret_bytes, or -errno.
 */
int artifact_evict(int directory, uint64_t max_bytes, uint64_t now_ns, uint64_t *ret_bytes,
		   uint64_t *evicted);
