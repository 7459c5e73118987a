/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings and files of a live process. */
#include "world.h"

#include "base/file.h"
#include "binary/unwind_build.h"
#include "process/proc_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define LARGEST_FILE (512UL << 20)

static int read_vdso(pid_t pid, const struct maps_line *line, char **ret, size_t *ret_size)
{
	size_t size = line->end - line->start;
	char *bytes = malloc(size);
	struct iovec to = {bytes, size}, from = {(void *)(uintptr_t)line->start, size};
	if (!bytes || process_vm_readv(pid, &to, 1, &from, 1, 0) != (ssize_t)size) {
		free(bytes);
		return bytes ? -EIO : -ENOMEM;
	}
	*ret = bytes;
	*ret_size = size;
	return 0;
}

/* A file without unwind information stays one of frame pointers. */
static int add_table(struct world *world, struct world_file *file, pid_t pid,
		     const struct maps_line *line)
{
	_cleanup_free_ char *bytes = NULL;
	size_t size = 0;
	struct elf_file elf;
	struct unwind_image image = {0};
	int r = !strcmp(file->name, "[vdso]")
			? read_vdso(pid, line, &bytes, &size)
			: read_whole_file(file->name, LARGEST_FILE, &bytes, &size);
	if (r < 0)
		return r;
	r = elf_file_open(bytes, size, &elf);
	if (r == 0)
		r = unwind_build(&elf, &image, NULL);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	r = world_add_table(world, file, &image);
	unwind_image_free(&image);
	return r;
}

static int add_line(struct world *world, pid_t pid, struct slice text)
{
	struct maps_line line;
	if (maps_line_parse(text, &line) < 0)
		return -EBADMSG;
	_cleanup_free_ char *path = strndup(line.path.bytes, line.path.length);
	if (!path)
		return -ENOMEM;
	struct world_file *file = NULL;
	if (line.inode || !strcmp(path, "[vdso]")) {
		size_t known = world->files.count;
		file = world_file(world, path);
		if (!file)
			return -ENOMEM;
		/* The first executable mapping of a file has its table made. */
		if (line.executable && file->binary.entry.state == BINARY_FRAME_POINTERS) {
			int r = add_table(world, file, pid, &line);
			if (r < 0) {
				fprintf(stderr, "%s (file %zu): no table: %s\n", path, known,
					strerror(-r));
				return r;
			}
		}
	}
	if (!strcmp(path, "[vsyscall]"))
		return 0;
	/* The offset that the kernel shows for the vDSO is an address. */
	bool is_vdso = !strcmp(path, "[vdso]");
	return world_add_mapping(world, line.start, line.end, is_vdso ? 0 : line.offset,
				 line.executable, file);
}

int world_of_process(struct world *world, pid_t pid, bool red_black_tree)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	size_t size;
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	int r = read_whole_file(path, 16 << 20, &text, &size);
	world->mappings.count = 0;
	struct slice rest = {text, size}, line;
	while (r == 0 && slice_next_line(&rest, &line))
		r = add_line(world, pid, line);
	return r < 0 ? r : world_finish(world, red_black_tree);
}
