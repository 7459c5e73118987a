/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds and verifies the container of artifact.h.
 *
 * The builder reserves the whole section list at the beginning, so that a section is appended where
 * it stays and nothing is moved at the end. The reader therefore allows a gap between the list and
 * the first section, but no overlap and no disorder.
 */
#include "binary/artifact.h"

#include "base/file.h"

#include <errno.h>
#include <libdeflate.h>
#include <string.h>

#define SECTION_ALIGNMENT 16
#define READ_BYTES (64UL << 10)

static const char zeros[ARTIFACT_MAX_SECTIONS * sizeof(struct artifact_section)];

/* With the checksum's own field as zero. */
static uint32_t header_checksum(const struct artifact_header *header)
{
	struct artifact_header copy = *header;
	copy.checksum = 0;
	return libdeflate_crc32(0, &copy, sizeof(copy));
}

static uint32_t artifact_checksum(const void *bytes, size_t size)
{
	struct artifact_header header;
	memcpy(&header, bytes, sizeof(header));
	return libdeflate_crc32(header_checksum(&header), (const char *)bytes + sizeof(header), size - sizeof(header));
}

void artifact_begin(struct text *t, enum artifact_kind kind)
{
	struct artifact_header header = {
		.magic = ARTIFACT_MAGIC,
		.version = ARTIFACT_VERSION,
		.kind = kind,
	};
	text_add_bytes(t, &header, sizeof(header));
	text_add_bytes(t, zeros, sizeof(zeros));
}

static void pad_to_alignment(struct text *t)
{
	size_t past = t->length % SECTION_ALIGNMENT;
	if (past)
		text_add_bytes(t, zeros, SECTION_ALIGNMENT - past);
}

void artifact_add_section(struct text *t, enum artifact_section_kind kind, const void *bytes,
			  size_t size)
{
	pad_to_alignment(t);
	struct artifact_section section = {.kind = kind, .offset = t->length, .size = size};
	text_add_bytes(t, bytes, size);
	if (t->failed)
		return;

	/* The count goes on past the list, so that artifact_finish() can tell. */
	struct artifact_header *header = (struct artifact_header *)t->bytes;
	if (header->section_count < ARTIFACT_MAX_SECTIONS)
		memcpy(t->bytes + sizeof(*header) + header->section_count * sizeof(section),
		       &section, sizeof(section));
	header->section_count++;
}

int artifact_finish(struct text *t)
{
	if (t->failed)
		return -ENOMEM;
	struct artifact_header *header = (struct artifact_header *)t->bytes;
	if (header->section_count > ARTIFACT_MAX_SECTIONS)
		return -E2BIG;
	header->size = t->length;
	header->checksum = artifact_checksum(t->bytes, t->length);
	return 0;
}

static bool sections_valid(const struct artifact_section *sections, size_t count, size_t size)
{
	uint64_t free_from = sizeof(struct artifact_header) + count * sizeof(*sections);
	uint32_t seen = 0;
	for (size_t i = 0; i < count; i++) {
		const struct artifact_section *s = &sections[i];
		if (s->kind == 0 || s->kind >= 32 || (seen & 1U << s->kind))
			return false;
		seen |= 1U << s->kind;
		if (s->offset % SECTION_ALIGNMENT || s->offset < free_from || s->offset > size ||
		    s->size > size - s->offset)
			return false;
		free_from = s->offset + s->size;
	}
	return true;
}

static bool header_valid(const struct artifact_header *header, size_t size, enum artifact_kind kind)
{
	return header->magic == ARTIFACT_MAGIC && header->version == ARTIFACT_VERSION &&
	       header->kind == (uint32_t)kind && header->size == size &&
	       header->section_count <= ARTIFACT_MAX_SECTIONS &&
	       header->section_count * sizeof(struct artifact_section) <= size - sizeof(*header);
}

int artifact_check(const void *bytes, size_t size, enum artifact_kind kind, struct artifact *ret)
{
	const struct artifact_header *header = bytes;
	if (size < sizeof(*header) || (uintptr_t)bytes % SECTION_ALIGNMENT ||
	    !header_valid(header, size, kind))
		return -EBADMSG;
	if (!sections_valid((const struct artifact_section *)(header + 1), header->section_count, size))
		return -EBADMSG;
	if (header->checksum != artifact_checksum(bytes, size))
		return -EBADMSG;
	*ret = (struct artifact){.bytes = bytes, .size = size};
	return 0;
}

/* Adds what lies behind the header to a checksum, piece by piece. Returns 0 or -errno. */
static int add_to_checksum(int file, uint64_t offset, uint64_t size, uint32_t *checksum)
{
	_cleanup_free_ char *piece = malloc(READ_BYTES);
	int r = piece ? 0 : -ENOMEM;
	while (r == 0 && size) {
		size_t length = MIN_OF(size, READ_BYTES);
		r = read_exactly_at(file, piece, length, offset);
		if (r == 0)
			*checksum = libdeflate_crc32(*checksum, piece, length);
		offset += length;
		size -= length;
	}
	return r;
}

int artifact_file_check(int file, uint64_t offset, uint64_t size, enum artifact_kind kind,
			struct artifact_file *ret)
{
	struct artifact_header header;
	struct artifact_file a = {.file = file};
	if (size < sizeof(header))
		return -EBADMSG;
	int r = read_exactly_at(file, &header, sizeof(header), offset);
	if (r == 0 && !header_valid(&header, size, kind))
		r = -EBADMSG;
	if (r < 0)
		return r;
	a.section_count = header.section_count;
	r = read_exactly_at(file, a.sections, a.section_count * sizeof(*a.sections),
			    offset + sizeof(header));
	if (r == 0 && !sections_valid(a.sections, a.section_count, size))
		r = -EBADMSG;
	uint32_t checksum = header_checksum(&header);
	if (r == 0)
		r = add_to_checksum(file, offset + sizeof(header), size - sizeof(header), &checksum);
	if (r == 0 && checksum != header.checksum)
		r = -EBADMSG;
	for (size_t i = 0; i < a.section_count; i++)
		a.sections[i].offset += offset;
	if (r == 0)
		*ret = a;
	return r;
}

const struct artifact_section *artifact_file_section(const struct artifact_file *a,
						     enum artifact_section_kind kind)
{
	for (size_t i = 0; i < a->section_count; i++)
		if (a->sections[i].kind == (uint32_t)kind)
			return &a->sections[i];
	return NULL;
}

const void *artifact_section(const struct artifact *a, enum artifact_section_kind kind,
			     size_t *ret_size)
{
	const struct artifact_header *header = (const struct artifact_header *)a->bytes;
	const struct artifact_section *sections = (const struct artifact_section *)(header + 1);
	for (size_t i = 0; i < header->section_count; i++) {
		if (sections[i].kind == (uint32_t)kind) {
			*ret_size = sections[i].size;
			return a->bytes + sections[i].offset;
		}
	}
	*ret_size = 0;
	return NULL;
}
