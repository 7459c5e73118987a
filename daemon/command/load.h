/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles that a command reads: what they share is where they come from and how they fail. */
#pragma once

#include "command/command.h"
#include "profile/profile.h"

/*
 * Reads any pprof file, gzipped or not; "-" is standard input. Returns STATUS_OK, or prints why not,
 * with the path, and returns STATUS_ERROR. The caller frees.
 */
int load_profile(const struct command *command, const char *path, struct profile **ret);

/*
 * The sample type a person named (NULL: the profile's default). Returns STATUS_OK, or prints which
 * types there are and returns STATUS_USAGE.
 */
int choose_sample_type(const struct command *command, const struct profile *profile,
		       const char *name, size_t *ret);
