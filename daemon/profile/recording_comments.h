/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a profile says of itself beside its samples: what was taken, what was lost and why, and what it
 * cost, as comments "name=number". Each counts what happened during the profile, so that the numbers of
 * profiles that follow each other can be added.
 */
#pragma once

#include "profile/recording.h"

/* Adds what was counted between two readings. Memory, and how long the start took, are as they are now.
 * Of the programs' counters those
 * that `kind` is about. `times`: the samples' times were to be kept. Returns 0 or -ENOMEM. */
int recording_add_comments(const struct recording_statistics *now,
			   const struct recording_statistics *since, enum profile_kind kind,
			   bool times, struct profile *profile);

/* Adds "strategy.NAME=what it does" for each of the kind. Returns 0 or -ENOMEM. */
int recording_add_strategies(const struct strategies *strategies, enum profile_kind kind,
			     struct profile *profile);
