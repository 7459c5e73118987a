/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The summary's words on memory: what was seen to come or to be allocated, beside what the processes that were named have.
 * The two differ, and by how much and why is said: a profile that explains half of a process's growth must not look like one
 * that explains all.
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"
#include "profile/recording.h"

/* Lines that end in a newline. `colour`: escape sequences. */
void summary_write_growth(const struct recording_statistics *statistics, const struct profile *profile, bool colour,
			  struct text *out);
void summary_write_heap(const struct recording_statistics *statistics, const struct profile *profile, bool colour,
			struct text *out);
