/* SPDX-License-Identifier: Apache-2.0 */
/* See encode.h. */
#include "command/encode.h"

#include "format/pprof.h"

#include <errno.h>

static int encode_pprof(const struct profile *profile, struct text *ret)
{
	return pprof_encode(profile, PPROF_GZIP, ret);
}

static int (*const encoders[OUTPUT_FORMAT_MAX])(const struct profile *, struct text *) = {
	[OUTPUT_PPROF] = encode_pprof,
};

bool encode_knows(enum output_format format)
{
	return encoders[format] != NULL;
}

int encode_profile(enum output_format format, const struct profile *profile, struct text *ret)
{
	return encoders[format] ? encoders[format](profile, ret) : -EOPNOTSUPP;
}
