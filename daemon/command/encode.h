/* SPDX-License-Identifier: Apache-2.0 */
/* A profile as the bytes of each output format: the one place that knows every encoder. */
#pragma once

#include "command/output.h"

/* Appends the encoded profile to *ret. Returns 0, -EINVAL for a profile without sample types, -ENODATA
 * where the format cannot hold a profile without samples, or -ENOMEM. `title` heads a page; NULL: none. */
int encode_profile(enum file_format format, const struct profile *profile, const char *title, struct text *ret);
