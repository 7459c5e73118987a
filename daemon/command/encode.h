/* SPDX-License-Identifier: Apache-2.0 */
/* A profile as the bytes of each output format: the one place that knows every encoder. */
#pragma once

#include "command/output.h"

/* Is there an encoder for the format? An output without one is refused when it is opened. */
bool encode_knows(enum file_format format);

/* Appends the encoded profile to *ret. Returns 0, -EOPNOTSUPP or -ENOMEM. */
int encode_profile(enum file_format format, const struct profile *profile, struct text *ret);
