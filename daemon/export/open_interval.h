/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kill loses: the interval that was being collected and not yet handed to the exporters. A small
 * file in the state directory says since when an interval is open and when the daemon was last seen
 * alive; the next start reads it and reports a gap of known length.
 *
 * The file is written without a sync, so that the loop may do it: after a kill it is exact, after a loss
 * of power it is as old as the kernel's last write-back (vm.dirty_expire_centisecs, 30 s by default).
 */
#pragma once

#include "base/attributes.h"

struct open_interval;

/* An interval that was open when an earlier run ended. CLOCK_REALTIME. */
struct lost_interval {
	int64_t start_ns;     /* of what was being collected */
	int64_t last_seen_ns; /* the daemon still collected; the loss is at least up to here */
};

/* Takes the file in `directory` (made when missing). Returns 1 with *ret_lost when an earlier run was
 * killed, 0 when it ended in order or there was none, -EBUSY when another process has it, or -errno: then
 * there is no *ret, and the daemon may go on without. A damaged file says nothing: 0. */
int open_interval_take(const char *directory, struct open_interval **ret,
		       struct lost_interval *ret_lost);

/* Samples since `start_ns` are not handed over yet. Call at each swap, after exporter_add(). Accepts NULL.
 * Returns 0 or -errno. */
int open_interval_begin(struct open_interval *interval, int64_t start_ns);

/* Still alive: call about once a second; the gap's length is known as exactly as that. Accepts NULL. */
int open_interval_heartbeat(struct open_interval *interval, int64_t now_ns);

/* The daemon ends in order: nothing is open. Accepts NULL. Returns NULL. */
struct open_interval *open_interval_close(struct open_interval *interval);
