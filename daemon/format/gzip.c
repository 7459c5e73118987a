/* SPDX-License-Identifier: Apache-2.0 */
/* See gzip.h. What is written is in memory as a whole, and libdeflate takes a third of zlib's time for it. What
 * is read may have any length: zlib expands it piece by piece. Its counts are 32-bit, so input is handed over in
 * chunks. */
#include "format/gzip.h"

#include <errno.h>
#include <libdeflate.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>

#define GZIP_WINDOW (15 + 16) /* zlib: largest window, gzip header and trailer */
#define GZIP_CHUNK ((size_t)1 << 30)

static void compressor_free(struct libdeflate_compressor **compressor)
{
	libdeflate_free_compressor(*compressor);
}

int gzip_compress(const void *bytes, size_t size, int level, struct text *out)
{
	_cleanup_(compressor_free) struct libdeflate_compressor *compressor =
		libdeflate_alloc_compressor(level);
	if (!compressor)
		return -ENOMEM;
	size_t bound = libdeflate_gzip_compress_bound(compressor, size);
	char *room = text_room(out, bound);
	if (!room)
		return -ENOMEM;
	size_t written = libdeflate_gzip_compress(compressor, bytes, size, room, bound);
	out->length += written;
	return written ? 0 : -ENOMEM;
}

bool gzip_is(const void *bytes, size_t size)
{
	return size >= 2 && !memcmp(bytes, "\x1f\x8b", 2);
}

struct expansion {
	z_stream stream;
	const unsigned char *input, *end;
	unsigned char *bytes;
	size_t used, capacity, limit;
};

static void expansion_release(struct expansion *expansion)
{
	inflateEnd(&expansion->stream);
	free(expansion->bytes);
}

/* Makes room for more output. One byte past the limit is allowed, to learn that there is more. */
static int expansion_reserve(struct expansion *expansion)
{
	if (expansion->used < expansion->capacity)
		return 0;
	if (expansion->used > expansion->limit)
		return -EFBIG;
	size_t capacity = MAX_OF(expansion->capacity * 2, (size_t)65536);
	capacity = MIN_OF(capacity, expansion->limit + 1);
	unsigned char *grown = realloc(expansion->bytes, capacity);
	if (!grown)
		return -ENOMEM;
	expansion->bytes = grown;
	expansion->capacity = capacity;
	return 0;
}

/* One call of inflate(). Returns 1 at the end of a member, 0 to go on, or an error. */
static int expansion_step(struct expansion *expansion)
{
	z_stream *stream = &expansion->stream;
	int r = expansion_reserve(expansion);
	if (r < 0)
		return r;
	size_t room = MIN_OF(expansion->capacity - expansion->used, GZIP_CHUNK);
	size_t chunk = MIN_OF((size_t)(expansion->end - expansion->input), GZIP_CHUNK);
	stream->next_in = (unsigned char *)expansion->input;
	stream->avail_in = (unsigned)chunk;
	stream->next_out = expansion->bytes + expansion->used;
	stream->avail_out = (unsigned)room;
	r = inflate(stream, Z_NO_FLUSH);
	size_t produced = room - stream->avail_out, consumed = chunk - stream->avail_in;
	expansion->input += consumed;
	expansion->used += produced;
	if (expansion->used > expansion->limit)
		return -EFBIG;
	if (r == Z_STREAM_END)
		return 1;
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	if (r != Z_OK || (produced == 0 && consumed == 0))
		return -EBADMSG; /* damaged, or cut short */
	return 0;
}

static int expansion_run(struct expansion *expansion)
{
	do {
		int r;
		while ((r = expansion_step(expansion)) == 0)
			;
		if (r < 0)
			return r;
		if (expansion->input < expansion->end &&
		    inflateReset(&expansion->stream) != Z_OK)
			return -EBADMSG;
	} while (expansion->input < expansion->end);
	return 0;
}

int gzip_expand(const void *bytes, size_t size, size_t limit, char **ret_bytes, size_t *ret_size,
		size_t *ret_offset)
{
	_cleanup_(expansion_release) struct expansion expansion = {
		.input = bytes,
		.end = (const unsigned char *)bytes + size,
		.limit = MIN_OF(limit, SIZE_MAX / 4),
	};
	if (inflateInit2(&expansion.stream, GZIP_WINDOW) != Z_OK)
		return -ENOMEM;
	int r = expansion_run(&expansion);
	if (r < 0) {
		if (ret_offset)
			*ret_offset = (size_t)(expansion.input - (const unsigned char *)bytes);
		return r;
	}
	*ret_size = expansion.used;
	*ret_bytes = (char *)take_pointer(expansion.bytes);
	return 0;
}
