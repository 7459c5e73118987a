/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a section, decompressed when they are stored compressed: SHF_COMPRESSED with zlib or
 * zstd (generic ABI), and the older GNU form, where a section called .zdebug_x begins with "ZLIB"
 * and its size in eight big-endian bytes.
 *
 * The size that the file claims is allocated only after it passed the limit, and the decompressors
 * write into exactly that much.
 */
#include "binary/elf_file.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2 /* newer than Debian 12's <elf.h> */
#endif

/* Deflate cannot compress better than about 1032 to 1: a larger claim is a lie. */
#define DEFLATE_MAX_RATIO 1040

struct compressed {
	const unsigned char *bytes;
	size_t size;
	uint32_t type;
	uint64_t full_size;
};

static int inflate_into(const struct compressed *from, unsigned char *out)
{
	z_stream stream = {.next_in = (unsigned char *)from->bytes, .next_out = out};
	size_t in_left = from->size, out_left = from->full_size;
	int r = inflateInit(&stream);
	if (r != Z_OK)
		return -ENOMEM;
	do {
		/* zlib counts in unsigned int: feed it in pieces. */
		uInt in = MIN_OF(in_left, (size_t)UINT_MAX);
		uInt room = MIN_OF(out_left, (size_t)UINT_MAX);
		stream.avail_in = in;
		stream.avail_out = room;
		r = inflate(&stream, Z_NO_FLUSH);
		in_left -= in - stream.avail_in;
		out_left -= room - stream.avail_out;
	} while (r == Z_OK && out_left);
	inflateEnd(&stream);
	return (r == Z_STREAM_END || r == Z_OK) && !out_left ? 0 : -EBADMSG;
}

static int zstd_into(const struct compressed *from, unsigned char *out)
{
	size_t n = ZSTD_decompress(out, from->full_size, from->bytes, from->size);
	return ZSTD_isError(n) || n != from->full_size ? -EBADMSG : 0;
}

static int decompress(const struct compressed *from, uint64_t limit, struct elf_data *ret)
{
	if (from->type != ELFCOMPRESS_ZLIB && from->type != ELFCOMPRESS_ZSTD)
		return -ENOTSUP;
	if (from->full_size > limit)
		return -E2BIG;
	if (from->type == ELFCOMPRESS_ZLIB &&
	    from->full_size / DEFLATE_MAX_RATIO > from->size)
		return -EBADMSG;
	_cleanup_free_ unsigned char *out = malloc(from->full_size ? from->full_size : 1);
	if (!out)
		return -ENOMEM;
	int r = from->type == ELFCOMPRESS_ZLIB ? inflate_into(from, out) : zstd_into(from, out);
	if (r < 0)
		return r;
	ret->size = from->full_size;
	ret->bytes = out;
	ret->owned = take_pointer(out);
	return 0;
}

static bool find_compressed(const struct elf_file *elf, const Elf64_Shdr *section,
			    const unsigned char *bytes, struct compressed *ret)
{
	Elf64_Chdr header;
	if (section->sh_flags & SHF_COMPRESSED) {
		if (section->sh_size < sizeof(header))
			return false;
		memcpy(&header, bytes, sizeof(header));
		*ret = (struct compressed){bytes + sizeof(header),
					   section->sh_size - sizeof(header), header.ch_type,
					   header.ch_size};
		return true;
	}
	uint64_t size;
	if (strncmp(elf_file_section_name(elf, section), ".zdebug_", 8) ||
	    section->sh_size < 4 + sizeof(size) || memcmp(bytes, "ZLIB", 4))
		return false;
	memcpy(&size, bytes + 4, sizeof(size));
	*ret = (struct compressed){bytes + 4 + sizeof(size), section->sh_size - 4 - sizeof(size),
				   ELFCOMPRESS_ZLIB, be64toh(size)};
	return true;
}

int elf_file_section_data(const struct elf_file *elf, const Elf64_Shdr *section, uint64_t limit,
			  struct elf_data *ret)
{
	if (section->sh_type == SHT_NOBITS)
		return -ENODATA;
	const unsigned char *bytes = elf_file_range(elf, section->sh_offset, section->sh_size);
	if (!bytes)
		return -EBADMSG;
	struct compressed from;
	if (find_compressed(elf, section, bytes, &from))
		return decompress(&from, limit, ret);
	if (section->sh_flags & SHF_COMPRESSED)
		return -EBADMSG;
	if (section->sh_size > limit)
		return -E2BIG;
	*ret = (struct elf_data){.bytes = bytes, .size = section->sh_size};
	return 0;
}

int elf_file_data(const struct elf_file *elf, const char *name, uint64_t limit,
		  struct elf_data *ret)
{
	Elf64_Shdr section;
	if (!elf_file_find_section(elf, name, &section, NULL))
		return -ENODATA;
	return elf_file_section_data(elf, &section, limit, ret);
}

void elf_data_free(struct elf_data *data)
{
	free(data->owned);
	*data = (struct elf_data){0};
}
