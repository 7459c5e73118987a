/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an ELF file says that its debug information is: .gnu_debuglink (GDB manual, "Separate Debug
 * Files") and .gnu_debugaltlink (dwz; DWARF 5 calls the file supplementary).
 */
#include "binary/elf_file.h"
#include "binary/facts.h"

#include <errno.h>
#include <libdeflate.h>
#include <string.h>

#define LINK_LIMIT 4096

/* A file name, NUL, padding to four bytes, CRC-32 of that file. */
int elf_file_debuglink(const struct elf_file *elf, char name[static DEBUGLINK_MAX],
		       uint32_t *ret_crc)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	int r = elf_file_data(elf, ".gnu_debuglink", LINK_LIMIT, &data);
	if (r < 0)
		return r;
	size_t length = strnlen((const char *)data.bytes, data.size);
	size_t crc = (length + 1 + 3) & ~(size_t)3;
	/* A name with a slash would lead out of the directories that are searched. */
	if (!length || length >= DEBUGLINK_MAX || data.size < crc + 4 ||
	    memchr(data.bytes, '/', length))
		return -EBADMSG;
	memcpy(name, data.bytes, length);
	name[length] = '\0';
	memcpy(ret_crc, data.bytes + crc, 4);
	return 0;
}

bool elf_file_is_debug_of(const struct elf_file *debug, const struct elf_file *elf)
{
	size_t size = 0, debug_size = 0;
	char name[DEBUGLINK_MAX];
	uint32_t crc;
	const unsigned char *id = elf_file_find_note(elf, "GNU", NT_GNU_BUILD_ID, &size);
	const unsigned char *debug_id = elf_file_find_note(debug, "GNU", NT_GNU_BUILD_ID,
							   &debug_size);
	if (id)
		return debug_id && size == debug_size && !memcmp(id, debug_id, size);
	return elf_file_debuglink(elf, name, &crc) == 0 &&
	       libdeflate_crc32(0, debug->bytes, debug->size) == crc;
}

int elf_file_supplementary(const struct elf_file *elf, struct elf_data *data, const char **ret_path,
			   const unsigned char **ret_id, size_t *ret_id_size)
{
	int r = elf_file_data(elf, ".gnu_debugaltlink", LINK_LIMIT, data);
	if (r < 0)
		return r;
	size_t length = strnlen((const char *)data->bytes, data->size);
	if (!length || data->size - length < 2)
		return -EBADMSG;
	*ret_path = (const char *)data->bytes;
	*ret_id = data->bytes + length + 1;
	*ret_id_size = data->size - length - 1;
	return 0;
}
