/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that are no events but a state: how much is in use at the end of the interval (inuse_space,
 * inuse_objects). Added up over intervals they would mean nothing: of each process the latest one counts.
 * Private to merge.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "profile/profile.h"

/* For each process of the profiles to be merged, the one that tells its state. */
struct merge_states {
	struct strings processes;
	ARRAY(size_t) latest; /* of each process: index of the profile */
	bool any; /* is there a sample type that is a state? */
};

/* Is the type a state (memory in use), which does not add up over time, and not a flow? */
bool merge_is_state(const struct profile *profile, struct profile_value_type type);

/* Finds the processes. Returns 0 or -ENOMEM; free in any case. */
int merge_states_init(struct merge_states *states, const struct profile *const *profiles, size_t count);
void merge_states_free(struct merge_states *states);

/* Does the state in this sample of profile `index` count? It does in a profile that does not say of which
 * process it is: then the states are of different ones, and add up. */
bool merge_states_count(const struct merge_states *states, const struct profile *profile, size_t index,
			const struct profile_sample *sample);
