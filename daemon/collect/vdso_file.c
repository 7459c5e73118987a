/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel keeps the vDSO in memory alone: what a process sees of it, such as we, is the whole ELF image. Sealed, its
 * copy is the same file in each recording, and the cache knows it.
 */
#include "collect/vdso_file.h"

#include "base/file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>

/* Size of the vDSO image: up to the end of its section headers, as the kernel builds it. */
static size_t vdso_size(const Elf64_Ehdr *header)
{
	size_t end = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
	return end > sizeof(*header) && end < (1 << 20) ? end : 0;
}

int vdso_open(void)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	size_t size = header ? vdso_size(header) : 0;
	if (size == 0)
		return -ENOENT;
	_cleanup_fd_ int memory = memfd_create("vdso", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory < 0)
		return -errno;
	int r = write_all(memory, header, size);
	if (r < 0)
		return r;
	if (fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	return file < 0 ? -errno : file;
}
