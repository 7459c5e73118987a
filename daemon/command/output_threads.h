/* SPDX-License-Identifier: Apache-2.0 */
/* Several outputs written at the same time: each is encoded by itself, and a profile is only read meanwhile. */
#pragma once

#include "command/output.h"

struct output_job {
	struct output *output;
	const struct profile *profile;
	int result; /* what output_write() returned */
};

/* Does all jobs, in at most as many threads as this process has CPUs. A pipe whose reader has gone ends a process, by
 * SIGPIPE; of several jobs it is the result of one, -EPIPE, and the others go on. */
void output_write_all(struct output_job *jobs, size_t count);
