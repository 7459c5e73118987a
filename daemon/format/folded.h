/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folded stacks, the text that flame graph tools read: a line for each distinct stack, its frames from
 * the root separated by semicolons, a blank, and its value in the profile's default sample type.
 * Source: github.com/brendangregg/FlameGraph, README, "2. Fold stacks".
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

/* Appends the lines. A semicolon inside a name becomes a colon, a control character '?'. Returns 0,
 * -EINVAL when the profile has no sample type, or -ENOMEM. */
int folded_encode(const struct profile *profile, struct text *out);
