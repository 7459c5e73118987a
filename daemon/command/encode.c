/* SPDX-License-Identifier: Apache-2.0 */
/* See encode.h. */
#include "command/encode.h"

#include "format/flame_profile.h"
#include "format/folded.h"
#include "format/otlp.h"
#include "format/pprof.h"
#include "format/report_text.h"
#include "format/speedscope.h"

#include <errno.h>

static int encode_pprof(const struct profile *profile, struct text *ret)
{
	return pprof_encode(profile, PPROF_GZIP, ret);
}

static int encode_pprof_raw(const struct profile *profile, struct text *ret)
{
	return pprof_encode(profile, PPROF_RAW, ret);
}

static int add_message(void *userdata, const struct otlp_message *message)
{
	text_add_bytes(userdata, message->bytes, message->size);
	return 0;
}

/* A file holds one message. */
static int encode_otlp(const struct profile *profile, struct text *ret)
{
	struct otlp_options options = OTLP_OPTIONS_DEFAULT;
	struct otlp_statistics statistics;
	options.size_limit = SIZE_MAX;
	int r = otlp_encode(profile, &options, add_message, ret, &statistics);
	if (r == 0 && statistics.messages == 0)
		return -ENODATA; /* the format has no way to say "nothing" */
	return r;
}

static int (*const encoders[FILE_FORMAT_MAX])(const struct profile *, struct text *) = {
	[FILE_FORMAT_PPROF] = encode_pprof,
	[FILE_FORMAT_PPROF_RAW] = encode_pprof_raw,
	[FILE_FORMAT_OTLP] = encode_otlp,
	[FILE_FORMAT_FOLDED] = folded_encode,
	[FILE_FORMAT_SPEEDSCOPE] = speedscope_encode,
	[FILE_FORMAT_TEXT] = report_text_write,
};

int encode_profile(enum file_format format, const struct profile *profile, const char *title, struct text *ret)
{
	if (format == FILE_FORMAT_HTML)
		return flame_profile_write(profile, profile_default_value(profile), title, ret);
	return encoders[format](profile, ret);
}
