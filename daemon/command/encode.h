/* SPDX-License-Identifier: Apache-2.0 */
/* A profile as the bytes of each output format. */
#pragma once

#include "command/output.h"

/* Appends the encoded profile to *ret. Returns 0, -EINVAL or -ENOMEM. */
int encode_profile(enum output_format format, const struct profile *profile, struct text *ret);
