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
#include <libdeflate.h>
#include <string.h>
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
	struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
	if (!decompressor)
		return -ENOMEM;
	/* Without a place for the length, the output must have exactly the length claimed. */
	enum libdeflate_result r = libdeflate_zlib_decompress(decompressor, from->bytes, from->size,
							      out, from->full_size, NULL);
	libdeflate_free_decompressor(decompressor);
	return r == LIBDEFLATE_SUCCESS ? 0 : -EBADMSG;
}

static int zstd_into(const struct compressed *from, unsigned char *out)
{
	size_t n = ZSTD_decompress(out, from->full_size, from->bytes, from->size);
	return ZSTD_isError(n) || n != from->full_size ? -EBADMSG : 0;
}

static int check_claim(const struct compressed *from, uint64_t limit)
{
	if (from->type != ELFCOMPRESS_ZLIB && from->type != ELFCOMPRESS_ZSTD)
		return -ENOTSUP;
	if (from->full_size > limit)
		return -E2BIG;
	if (from->type == ELFCOMPRESS_ZLIB &&
	    from->full_size / DEFLATE_MAX_RATIO > from->size)
		return -EBADMSG;
	return 0;
}

static int decompress_into(const struct compressed *from, unsigned char *out)
{
	return from->type == ELFCOMPRESS_ZLIB ? inflate_into(from, out) : zstd_into(from, out);
}

static int decompress(const struct compressed *from, uint64_t limit, struct elf_data *ret)
{
	int r = check_claim(from, limit);
	if (r < 0)
		return r;
	_cleanup_free_ unsigned char *out = malloc(from->full_size ? from->full_size : 1);
	if (!out)
		return -ENOMEM;
	r = decompress_into(from, out);
	if (r < 0)
		return r;
	ret->size = from->full_size;
	ret->bytes = out;
	ret->owned = take_pointer(out);
	return 0;
}

/* Copies the header of a section with SHF_COMPRESSED out. Returns its size in the file, or 0: it is not all there. */
static size_t read_header(const struct elf_file *elf, const Elf64_Shdr *section, const unsigned char *bytes,
			  Elf64_Chdr *ret)
{
	Elf32_Chdr narrow;
	size_t size = elf_file_is_32_bit(elf) ? sizeof(narrow) : sizeof(*ret);
	if (section->sh_size < size)
		return 0;
	if (elf_file_is_32_bit(elf)) {
		memcpy(&narrow, bytes, size);
		*ret = (Elf64_Chdr){.ch_type = narrow.ch_type, .ch_size = narrow.ch_size};
	} else {
		memcpy(ret, bytes, size);
	}
	return size;
}

static bool find_compressed(const struct elf_file *elf, const Elf64_Shdr *section,
			    const unsigned char *bytes, struct compressed *ret)
{
	if (section->sh_flags & SHF_COMPRESSED) {
		Elf64_Chdr header;
		size_t skip = read_header(elf, section, bytes, &header);
		if (skip)
			*ret = (struct compressed){bytes + skip, section->sh_size - skip, header.ch_type,
						   header.ch_size};
		return skip > 0;
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

/* Those that the generic ABI describes; what begins with "ZLIB" goes by its name, which would have to change. */
static int find_flagged(const struct elf_file *elf, const Elf64_Shdr *section,
			struct compressed *ret)
{
	const unsigned char *bytes = elf_file_range(elf, section->sh_offset, section->sh_size);
	if (section->sh_type == SHT_NOBITS || !(section->sh_flags & SHF_COMPRESSED) || !bytes ||
	    !find_compressed(elf, section, bytes, ret))
		return -ENODATA;
	return check_claim(ret, ELF_DATA_LIMIT);
}

int elf_file_expanded_size(const struct elf_file *elf, const Elf64_Shdr *section, size_t *ret)
{
	struct compressed from;
	int r = find_flagged(elf, section, &from);
	if (r == 0)
		*ret = from.full_size;
	return r;
}

int elf_file_expand(const struct elf_file *elf, const Elf64_Shdr *section, void *out, size_t size)
{
	struct compressed from;
	int r = find_flagged(elf, section, &from);
	if (r == 0 && from.full_size != size)
		r = -EBADMSG; /* the file has changed */
	return r < 0 ? r : decompress_into(&from, out);
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
