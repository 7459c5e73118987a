/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The summary's top functions: by time, or memory, of their own. That is the leaves alone, so no call tree is built for five
 * lines.
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"
#include "profile/profile_kind.h"

/* A line for each, the largest first, of the profile's default value; none when there is no sample. `colour`: escape
 * sequences. */
void summary_write_top(const struct profile *profile, enum profile_kind kind, bool colour, struct text *out);
