/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/mapped_elf.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

int mapped_elf_open(int fd, struct mapped_elf *ret)
{
	struct stat st;
	*ret = (struct mapped_elf){0};
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -EBADMSG;
	void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	ret->bytes = bytes;
	ret->size = (size_t)st.st_size;
	return elf_file_open(bytes, ret->size, &ret->elf);
}

void mapped_elf_close(struct mapped_elf *file)
{
	if (file->bytes)
		munmap(file->bytes, file->size);
	*file = (struct mapped_elf){0};
}
