/* SPDX-License-Identifier: Apache-2.0 */
/* What a person reads about a recording: one line while it runs, a summary when it is over. */
#pragma once

#include "base/text.h"
#include "profile/profile.h"
#include "profile/recording.h"

/* "12 s  2,345 samples  0 lost  41 processes  own CPU 0.3 %": no newline. */
void summary_progress(const struct recording_statistics *statistics, struct text *out);

/* Of the kinds that have a profile: samples, losses, truncation, own cost and the top functions. `colour`: escape sequences. */
void summary_write(const struct recording_statistics *statistics,
		   struct profile *const profiles[PROFILE_KIND_COUNT], uint32_t frequency,
		   bool colour, struct text *out);
