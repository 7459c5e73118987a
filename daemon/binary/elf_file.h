/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded reader of ELF files: 64-bit little-endian x86-64 and AArch64, and 32-bit x86.
 *
 * The file is a range of bytes that somebody else keeps mapped or owns. It is foreign: every number
 * in it may lie. One gate, elf_file_range(), turns (offset, size) into a pointer, and everything
 * here and above goes through it. Headers are copied out, never used in place: a hostile file may
 * have them unaligned, and a mapped one may change while it is read. Copied out, those of 32-bit files are
 * as those of 64-bit ones.
 */
#pragma once

#include "base/attributes.h"

#include <elf.h>

struct binary_facts;

/* No uncompressed section is larger than this unless the caller asks for less. */
#define ELF_DATA_LIMIT (1ULL << 30)

/* Read only; filled by elf_file_open(). */
struct elf_file {
	const unsigned char *bytes;
	size_t size;
	uint16_t machine; /* EM_X86_64, EM_AARCH64 or EM_386, whose files alone are 32-bit ones */
	uint16_t type;	  /* ET_* */
	uint64_t entry;	  /* virtual address, 0: none */
	uint64_t segments_offset;
	uint32_t segment_count;
	uint64_t sections_offset;
	uint32_t section_count; /* 0 when section headers are absent or lie outside the file */
	uint64_t names_offset;	/* of the section name table */
	uint64_t names_size;
};

/* Bytes of a section: in the file, or decompressed and owned. Free with elf_data_free(). */
struct elf_data {
	const unsigned char *bytes;
	size_t size;
	void *owned; /* NULL when `bytes` points into the file */
};

/* Returns 0, -EBADMSG (not an ELF file, or its program headers lie outside it) or -ENOTSUP (another
 * class, byte order or machine). Allocates nothing. */
int elf_file_open(const void *bytes, size_t size, struct elf_file *ret);

/* Are its structures those of 32-bit files? */
static inline bool elf_file_is_32_bit(const struct elf_file *elf)
{
	return elf->machine == EM_386;
}

/* The gate: `size` bytes at `offset` of the file, or NULL when they are not all there. */
static inline const void *elf_file_range(const struct elf_file *elf, uint64_t offset, uint64_t size)
{
	if (offset > elf->size || size > elf->size - offset)
		return NULL;
	return elf->bytes + offset;
}

/* Copies program header `i` out. False past the end. */
bool elf_file_segment(const struct elf_file *elf, uint32_t i, Elf64_Phdr *ret);

/* Copies section header `i` out. False past the end. */
bool elf_file_section(const struct elf_file *elf, uint32_t i, Elf64_Shdr *ret);

/* The section's name inside the file, "" when it has none. Always NUL-terminated. */
const char *elf_file_section_name(const struct elf_file *elf, const Elf64_Shdr *section);

/* First section of that name that has bytes in the file (not SHT_NOBITS). ".debug_x" also finds the
 * old compressed form ".zdebug_x". `ret_index` may be NULL. */
bool elf_file_find_section(const struct elf_file *elf, const char *name, Elf64_Shdr *ret,
			   uint32_t *ret_index);

/* First section of that type (SHT_SYMTAB, SHT_DYNSYM, …). `ret_index` may be NULL. */
bool elf_file_find_section_type(const struct elf_file *elf, uint32_t type, Elf64_Shdr *ret,
				uint32_t *ret_index);

/* The section's bytes, decompressed if need be (zlib, zstd, old .zdebug). Returns 0, -ENODATA (no
 * bytes in the file), -EBADMSG (outside the file or damaged), -E2BIG (more than `limit` bytes),
 * -ENOTSUP (unknown compression) or -ENOMEM. */
int elf_file_section_data(const struct elf_file *elf, const Elf64_Shdr *section, uint64_t limit,
			  struct elf_data *ret);

/* Same for the section called `name`; -ENODATA when there is none. */
int elf_file_data(const struct elf_file *elf, const char *name, uint64_t limit,
		  struct elf_data *ret);

/* The size that a section with SHF_COMPRESSED has when decompressed. Returns 0, -ENODATA (it is none), -EBADMSG,
 * -E2BIG or -ENOTSUP. */
int elf_file_expanded_size(const struct elf_file *elf, const Elf64_Shdr *section, size_t *ret);

/* Decompresses it into `size` bytes, which must be exactly its size. Returns 0, -ENODATA (not compressed), -ENOTSUP,
 * -E2BIG, -EBADMSG or -ENOMEM. */
int elf_file_expand(const struct elf_file *elf, const Elf64_Shdr *section, void *out, size_t size);

/* Idempotent. */
void elf_data_free(struct elf_data *data);
#define _cleanup_elf_data_ _cleanup_(elf_data_free)

/* File offset of a virtual address through the PT_LOAD whose file part holds it. */
bool elf_file_address_to_offset(const struct elf_file *elf, uint64_t address, uint64_t *ret_offset);

/* The bytes from a virtual address up to the end of its PT_LOAD's file part; NULL when none. */
const unsigned char *elf_file_at_address(const struct elf_file *elf, uint64_t address,
					 size_t *ret_size);

/* First note of this owner and type, in PT_NOTE segments and then in SHT_NOTE sections, in the first MiB of them: its
 * description bytes, or NULL. */
const unsigned char *elf_file_find_note(const struct elf_file *elf, const char *owner,
					uint32_t type, size_t *ret_size);

/* .gnu_debuglink's file name, which has no slash, and that file's CRC-32. Returns 0, -ENODATA or
 * -EBADMSG. */
#define DEBUGLINK_MAX 256
int elf_file_debuglink(const struct elf_file *elf, char name[static DEBUGLINK_MAX],
		       uint32_t *ret_crc);

/* Is `debug` the separate debug file of `elf`: by build id, or without one by the checksum of
 * .gnu_debuglink? */
bool elf_file_is_debug_of(const struct elf_file *debug, const struct elf_file *elf);

/* dwz's .gnu_debugaltlink: the path and the build id of the file with the shared debug information.
 * Both point into `data`, which the caller frees. Returns 0, -ENODATA or -EBADMSG. */
int elf_file_supplementary(const struct elf_file *elf, struct elf_data *data, const char **ret_path,
			   const unsigned char **ret_id, size_t *ret_id_size);

/* Fills all of `ret` except FACTS_HAS_UNWIND, which only the table builder can tell. */
void elf_file_facts(const struct elf_file *elf, struct binary_facts *ret);
