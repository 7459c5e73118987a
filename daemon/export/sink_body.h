/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies as the protocols wrap them, and the reverse for a compressed answer. */
#pragma once

#include "base/text.h"
#include "export/sink_options.h"

/* The name HTTP and gRPC give it: "gzip", "zstd" or "identity". */
const char *sink_compression_name(enum sink_compression compression);

/* Appends the bytes, compressed. Returns 0 or -ENOMEM. */
int sink_body_compress(enum sink_compression compression, const void *bytes, size_t size,
		       struct text *out);

/* Expands what is called `encoding` into a new buffer that the caller frees. Returns 0, -ENOTSUP for
 * another encoding, -EFBIG past `limit`, -EBADMSG or -ENOMEM. */
int sink_body_expand(const char *encoding, const void *bytes, size_t size, size_t limit,
		     char **ret_bytes, size_t *ret_size);
