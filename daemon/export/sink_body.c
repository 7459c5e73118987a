/* SPDX-License-Identifier: Apache-2.0 */
/* See sink_body.h. */
#include "export/sink_body.h"

#include "format/gzip.h"

#include <errno.h>
#include <string.h>
#include <zstd.h>

/* Fast ones: a batch is compressed each time it is sent. tests/bench/bench_send.py prints the cost. */
#define GZIP_LEVEL 2
#define ZSTD_LEVEL 3

const char *sink_compression_name(enum sink_compression compression)
{
	return compression == SINK_GZIP ? "gzip" : compression == SINK_ZSTD ? "zstd" : "identity";
}

static int compress_zstd(const void *bytes, size_t size, struct text *out)
{
	size_t room = ZSTD_compressBound(size);
	_cleanup_free_ char *buffer = malloc(room);
	if (!buffer)
		return -ENOMEM;
	size_t written = ZSTD_compress(buffer, room, bytes, size, ZSTD_LEVEL);
	if (ZSTD_isError(written))
		return -ENOMEM;
	text_add_bytes(out, buffer, written);
	return out->failed ? -ENOMEM : 0;
}

int sink_body_compress(enum sink_compression compression, const void *bytes, size_t size,
		       struct text *out)
{
	if (compression == SINK_GZIP)
		return gzip_compress(bytes, size, GZIP_LEVEL, out);
	if (compression == SINK_ZSTD)
		return compress_zstd(bytes, size, out);
	text_add_bytes(out, bytes, size);
	return out->failed ? -ENOMEM : 0;
}

static void stream_cleanup(ZSTD_DStream **stream)
{
	ZSTD_freeDStream(*stream);
}

static int expand_zstd(const void *bytes, size_t size, size_t limit, char **ret_bytes,
		       size_t *ret_size)
{
	_cleanup_(stream_cleanup) ZSTD_DStream *stream = ZSTD_createDStream();
	_cleanup_(text_free) struct text out = {0};
	ZSTD_inBuffer in = {.src = bytes, .size = size};
	char part[16384];
	size_t left = 1;
	if (!stream)
		return -ENOMEM;
	/* The window is bounded too: a frame of few bytes may ask for gigabytes. */
	ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, 23);
	while (left) {
		ZSTD_outBuffer to = {.dst = part, .size = sizeof(part)};
		size_t before = in.pos;
		left = ZSTD_decompressStream(stream, &to, &in);
		if (ZSTD_isError(left) || (to.pos == 0 && in.pos == before))
			return -EBADMSG;
		if (out.length + to.pos > limit)
			return -EFBIG;
		text_add_bytes(&out, part, to.pos);
	}
	*ret_size = out.length;
	*ret_bytes = text_take(&out);
	return *ret_bytes ? 0 : -ENOMEM;
}

int sink_body_expand(const char *encoding, const void *bytes, size_t size, size_t limit,
		     char **ret_bytes, size_t *ret_size)
{
	if (!strcmp(encoding, "gzip"))
		return gzip_expand(bytes, size, limit, ret_bytes, ret_size, NULL);
	if (!strcmp(encoding, "zstd"))
		return expand_zstd(bytes, size, limit, ret_bytes, ret_size);
	return -ENOTSUP;
}
