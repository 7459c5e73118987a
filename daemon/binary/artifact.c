/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds and verifies the container of artifact.h.
 *
 * The builder reserves the whole section list at the beginning, so that a section is appended where
 * it stays and nothing is moved at the end. The reader therefore allows a gap between the list and
 * the first section, but no overlap and no disorder.
 */
#include "binary/artifact.h"

#include <errno.h>
#include <libdeflate.h>
#include <string.h>

#define SECTION_ALIGNMENT 16

static const char zeros[ARTIFACT_MAX_SECTIONS * sizeof(struct artifact_section)];

static uint32_t artifact_checksum(const void *bytes, size_t size)
{
	struct artifact_header header;
	memcpy(&header, bytes, sizeof(header));
	header.checksum = 0;
	uint32_t crc = libdeflate_crc32(0, &header, sizeof(header));
	return libdeflate_crc32(crc, (const char *)bytes + sizeof(header), size - sizeof(header));
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

int artifact_check(const void *bytes, size_t size, enum artifact_kind kind, struct artifact *ret)
{
	const struct artifact_header *header = bytes;
	if (size < sizeof(*header) || (uintptr_t)bytes % SECTION_ALIGNMENT)
		return -EBADMSG;
	if (header->magic != ARTIFACT_MAGIC || header->version != ARTIFACT_VERSION ||
	    header->kind != (uint32_t)kind || header->size != size)
		return -EBADMSG;
	size_t count = header->section_count;
	if (count > ARTIFACT_MAX_SECTIONS ||
	    count * sizeof(struct artifact_section) > size - sizeof(*header))
		return -EBADMSG;
	if (!sections_valid((const struct artifact_section *)(header + 1), count, size))
		return -EBADMSG;
	if (header->checksum != artifact_checksum(bytes, size))
		return -EBADMSG;
	*ret = (struct artifact){.bytes = bytes, .size = size};
	return 0;
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
