/* SPDX-License-Identifier: Apache-2.0 */
#include "cfi_functions.h"

#include <dwarf.h>
#include <gelf.h>
#include <string.h>

struct section {
	const unsigned char *identification; /* e_ident */
	Elf_Data *data;
	uint64_t address;
	bool eh_frame;
};

static unsigned encoded_size(uint8_t encoding)
{
	switch (encoding & 0x07) {
	case DW_EH_PE_udata2:
		return 2;
	case DW_EH_PE_udata4:
		return 4;
	default:
		return 8;
	}
}

/* The encoding of addresses that the CIE's augmentation 'R' gives; absolute without one. */
static uint8_t address_encoding(const Dwarf_CIE *cie)
{
	const uint8_t *at = cie->augmentation_data;
	if (!cie->augmentation || cie->augmentation[0] != 'z' || !at)
		return DW_EH_PE_absptr;
	for (const char *letter = cie->augmentation + 1; *letter; letter++) {
		if (*letter == 'R')
			return *at;
		if (*letter == 'P')
			at += 1 + encoded_size(*at);
		else if (*letter == 'L')
			at++;
	}
	return DW_EH_PE_absptr;
}

static uint64_t read_encoded(const uint8_t *at, uint8_t encoding)
{
	uint64_t wide;
	uint32_t word;
	uint16_t half;
	bool is_signed = encoding & 0x08;
	switch (encoded_size(encoding)) {
	case 2:
		memcpy(&half, at, 2);
		return is_signed ? (uint64_t)(int16_t)half : half;
	case 4:
		memcpy(&word, at, 4);
		return is_signed ? (uint64_t)(int32_t)word : word;
	default:
		memcpy(&wide, at, 8);
		return wide;
	}
}

static void add_function(const struct section *section, const Dwarf_FDE *fde,
			 struct code_ranges *ranges)
{
	Dwarf_CFI_Entry cie;
	Dwarf_Off next;
	if (dwarf_next_cfi(section->identification, section->data, section->eh_frame,
			   fde->CIE_pointer, &next, &cie) != 0 || !dwarf_cfi_cie_p(&cie))
		return;
	uint8_t encoding = address_encoding(&cie.cie);
	unsigned size = encoded_size(encoding);
	if (fde->end - fde->start < 2 * size)
		return;
	uint64_t start = read_encoded(fde->start, encoding);
	if ((encoding & 0x70) == DW_EH_PE_pcrel)
		start += section->address +
			 (fde->start - (const uint8_t *)section->data->d_buf);
	uint64_t length = read_encoded(fde->start + size, encoding & 0x07);
	if (length)
		array_add(&ranges->list, (struct code_range){start, start + length});
}

static Elf_Scn *find_section(Elf *elf, const char *name, GElf_Shdr *header)
{
	size_t names;
	if (elf_getshdrstrndx(elf, &names) != 0)
		return NULL;
	for (Elf_Scn *s = elf_nextscn(elf, NULL); s; s = elf_nextscn(elf, s)) {
		if (!gelf_getshdr(s, header) || header->sh_type == SHT_NOBITS)
			continue;
		const char *found = elf_strptr(elf, names, header->sh_name);
		if (found && !strcmp(found, name))
			return s;
	}
	return NULL;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct code_range *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

bool cfi_functions(Elf *elf, const char *name, struct code_ranges *ret)
{
	GElf_Shdr header;
	Elf_Scn *s = find_section(elf, name, &header);
	if (!s || ((header.sh_flags & SHF_COMPRESSED) && elf_compress(s, 0, 0) < 0))
		return false;
	struct section section = {.identification = (const void *)elf_getident(elf, NULL),
				  .data = elf_getdata(s, NULL), .address = header.sh_addr,
				  .eh_frame = !strcmp(name, ".eh_frame")};
	if (!section.data || !section.data->d_buf)
		return false;
	Dwarf_Off offset = 0, next;
	Dwarf_CFI_Entry entry;
	int r;
	while ((r = dwarf_next_cfi(section.identification, section.data, section.eh_frame, offset,
				   &next, &entry)) <= 0) {
		if (r == 0 && !dwarf_cfi_cie_p(&entry))
			add_function(&section, &entry.fde, ret);
		if (next <= offset)
			break;
		offset = next;
	}
	if (ret->list.count)
		qsort(ret->list.items, ret->list.count, sizeof(*ret->list.items), compare_ranges);
	return true;
}
