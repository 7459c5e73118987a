/* SPDX-License-Identifier: Apache-2.0 */
/*
 * speedscope's own format: JSON with a table of frames and, for each sample type, stacks and weights.
 * Source: speedscope.app/file-format-schema.json.
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

/* Appends the file's bytes. Samples of no or negative weight, which speedscope cannot draw, are left
 * out. Returns 0 or -ENOMEM. */
int speedscope_encode(const struct profile *profile, struct text *out);
