/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel keeps the vDSO in memory alone: what a process sees of it, such as we, is the whole ELF image. Sealed, its
 * copy is the same file in each recording, and the cache knows it.
 *
 * That of 32-bit programs no process of ours has. A process may ask for it, if it has no other: a child does. What such
 * a program itself has in its place is not trusted to describe those of others.
 */
#include "collect/vdso_file.h"

#include "base/file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Size of the vDSO image: up to the end of its section headers, as the kernel builds it. */
static size_t vdso_size(const Elf64_Ehdr *header)
{
	size_t end = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
	return end > sizeof(*header) && end < (1 << 20) ? end : 0;
}

static int sealed(int memory)
{
	if (fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	return file < 0 ? -errno : file;
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
	return r < 0 ? r : sealed(memory);
}

#ifdef __x86_64__

/* ---- Of 32-bit programs ---------------------------------------------------------------------- */

#define ARCH_MAP_VDSO_32 0x2002 /* arch/x86/include/uapi/asm/prctl.h */
#define LARGEST_IMAGE (1 << 20)
#define MAPS_SIZE (1 << 18)

/* What follows runs in a process made for it, which has one thread and ends without a word: no memory is
 * allocated, and the time is not asked for, which the vDSO tells. */

/* The addresses of a line of /proc/self/maps that ends with the name, in the text from *at on, which moves behind it. */
static bool find_mapping(char **at, const char *name, unsigned long *ret_start, unsigned long *ret_end)
{
	char *found = strstr(*at, name);
	if (!found)
		return false;
	char *line = found;
	while (line > *at && line[-1] != '\n')
		line--;
	*at = found + strlen(name);
	char *end;
	*ret_start = strtoul(line, &end, 16);
	*ret_end = *end == '-' ? strtoul(end + 1, NULL, 16) : 0;
	return *ret_end > *ret_start;
}

static int read_own_maps(char *maps)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;
	while (fd >= 0 && used < MAPS_SIZE - 1 && (n = read(fd, maps + used, MAPS_SIZE - 1 - used)) > 0)
		used += (size_t)n;
	maps[used] = '\0';
	close_fd(fd);
	return used > 0 ? 0 : -ENOENT;
}

/* A process has one vDSO: its own goes first, with the data beside it. */
static void leave_own_vdso(char *maps)
{
	static const char *const names[] = {"[vdso]", "[vvar"};
	unsigned long start, end;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		char *at = maps;
		while (find_mapping(&at, names[i], &start, &end))
			munmap((void *)start, end - start);
	}
}

static int write_vdso_32(int memory)
{
	static char maps[MAPS_SIZE];
	unsigned long start, end;
	char *at = maps;
	if (read_own_maps(maps) < 0)
		return EXIT_FAILURE;
	leave_own_vdso(maps);
	long size = syscall(SYS_arch_prctl, ARCH_MAP_VDSO_32, 0UL);
	if (size <= 0 || size > LARGEST_IMAGE || read_own_maps(maps) < 0 ||
	    !find_mapping(&at, "[vdso]", &start, &end) || end - start < (size_t)size)
		return EXIT_FAILURE;
	return write_all(memory, (void *)start, (size_t)size) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int vdso_open_32(void)
{
	_cleanup_fd_ int memory = memfd_create("vdso32", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory < 0)
		return -errno;
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(write_vdso_32(memory));
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? sealed(memory) : -EOPNOTSUPP;
}

#else

int vdso_open_32(void)
{
	return -EOPNOTSUPP;
}

#endif
