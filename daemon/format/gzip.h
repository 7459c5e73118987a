/* SPDX-License-Identifier: Apache-2.0 */
/* gzip (RFC 1952): compress what is in memory, expand under a limit. */
#pragma once

#include "base/text.h"

/* Appends `bytes` as one member. `level` is libdeflate's, 1..12: at 1 the result is about as long as zlib's
 * at level 3, at 6 as zlib's at 6. The header carries no time, so equal input gives equal bytes. Returns 0 or
 * -ENOMEM. */
int gzip_compress(const void *bytes, size_t size, int level, struct text *out);

/* Does it begin as gzip does? */
bool gzip_is(const void *bytes, size_t size);

/* Expands one or several members into a new buffer that the caller frees. Returns 0, -EFBIG when it
 * would be longer than `limit`, -EBADMSG when damaged or cut (*ret_offset: where in the input; may
 * be NULL), or -ENOMEM. */
int gzip_expand(const void *bytes, size_t size, size_t limit, char **ret_bytes, size_t *ret_size,
		size_t *ret_offset);
