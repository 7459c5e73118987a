/* SPDX-License-Identifier: Apache-2.0 */
/* gzip (RFC 1952) over zlib: compress piece by piece into a text, expand under a limit. */
#pragma once

#include "base/text.h"

#include <zlib.h>

struct gzip_writer {
	z_stream stream;
	struct text *out; /* compressed bytes are appended here */
};

/* `level` 1..9. The header carries no time, so equal input gives equal bytes. Returns 0 or -ENOMEM.
 * Free with gzip_writer_release() in every case. */
int gzip_writer_init(struct gzip_writer *writer, int level, struct text *out);
int gzip_writer_add(struct gzip_writer *writer, const void *bytes, size_t size);

/* Writes the trailer. Returns 0 or -ENOMEM. */
int gzip_writer_finish(struct gzip_writer *writer);
void gzip_writer_release(struct gzip_writer *writer);

/* Does it begin as gzip does? */
bool gzip_is(const void *bytes, size_t size);

/* Expands one or several members into a new buffer that the caller frees. Returns 0, -EFBIG when it
 * would be longer than `limit`, -EBADMSG when damaged or cut (*ret_offset: where in the input; may
 * be NULL), or -ENOMEM. */
int gzip_expand(const void *bytes, size_t size, size_t limit, char **ret_bytes, size_t *ret_size,
		size_t *ret_offset);
