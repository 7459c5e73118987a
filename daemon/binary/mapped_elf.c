/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/mapped_elf.h"

#include "binary/file_pages.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Holes beyond this no linker leaves; a debugger's copy of a file may have some. */
#define MAX_HOLES (64UL << 20)
#define MAX_HOLE_COUNT 4096

/* How much of the file is mapped: it ends where its holes come to more than MAX_HOLES. Their pages read as zero,
 * and each that is read is memory, so that a file of no size on disk would take as much as it claims. Where the
 * file system knows no holes, it is all of it. */
static size_t sensible_size(int fd, size_t size)
{
	size_t holes = 0;
	off_t at = 0;
	if (size <= MAX_HOLES)
		return size;
	for (int i = 0; i < MAX_HOLE_COUNT; i++) {
		off_t hole = lseek(fd, at, SEEK_HOLE);
		if (hole < 0 || (size_t)hole >= size)
			return size;
		at = lseek(fd, hole, SEEK_DATA);
		if (at < 0) /* no data to the end */
			at = (off_t)size;
		holes += (size_t)(at - hole);
		if (holes > MAX_HOLES)
			return (size_t)hole;
	}
	return (size_t)at;
}

/* The end is asked for and not fstat(): FUSE refuses that to every user but the one who mounted, and the child
 * is nobody. */
int mapped_elf_open(int fd, struct mapped_elf *ret)
{
	*ret = (struct mapped_elf){0};
	off_t end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	if (end == 0)
		return -EBADMSG;
	size_t size = sensible_size(fd, (size_t)end);
	if (size == 0)
		return -EBADMSG;
	void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	ret->bytes = bytes;
	ret->size = size;
	file_pages_add(bytes, size);
	return elf_file_open(bytes, ret->size, &ret->elf);
}

void mapped_elf_close(struct mapped_elf *file)
{
	if (file->bytes) {
		file_pages_remove(file->bytes, file->size);
		munmap(file->bytes, file->size);
	}
	*file = (struct mapped_elf){0};
}
