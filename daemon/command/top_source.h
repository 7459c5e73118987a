/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where `top` has its profiles from: a recording of its own, or the running daemon, which is asked for one
 * interval after the other. Either way a profile arrives on the loop at the end of each interval.
 */
#pragma once

#include "base/loop.h"
#include "profile/recording.h"

struct top_source;

/* Takes the profile (free it). `profile` is NULL when there will be none any more, and `problem` says why.
 * A negative return ends the loop with that value. */
typedef int (*top_source_callback)(struct profile *profile, const char *problem, void *userdata);

struct top_source_options {
	uint64_t delay_ns;
	uint64_t intervals; /* stop after so many; 0: go on */
	top_source_callback callback;
	void *userdata;
};

/* A recording by `recording`, whose selection is moved. Returns 0 or -errno with *failure filled. */
int top_source_new_own(struct loop *loop, const struct top_source_options *options,
		       struct recording_options *recording, struct recording_failure *failure,
		       struct top_source **ret);

/* The daemon behind this socket, if it answers. Returns 0 or -errno with *failure filled. */
int top_source_new_daemon(struct loop *loop, const struct top_source_options *options,
			  const char *socket_path, struct recording_failure *failure,
			  struct top_source **ret);

/* Accepts NULL. Returns NULL. */
struct top_source *top_source_free(struct top_source *source);

/* Begins the first interval. Returns 0 or -errno with *failure filled. */
int top_source_start(struct top_source *source, struct recording_failure *failure);

/* The length of the intervals to come; a daemon's are whole seconds. Returns 0 or -errno. */
int top_source_set_delay(struct top_source *source, uint64_t delay_ns);

/* No samples, no profiles for a while, and on again with a new interval. */
void top_source_pause(struct top_source *source);
void top_source_resume(struct top_source *source);

/* The length of an interval as it is. */
uint64_t top_source_delay(const struct top_source *source);
