/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builders that the parser child runs, each on a file mapped read-only. A file that is truncated
 * meanwhile ends the child with SIGBUS; the daemon counts that and goes on.
 */
#include "binary/parser.h"

#include "binary/elf_file.h"
#include "binary/facts.h"
#include "binary/line_build.h"
#include "binary/parser_child.h"
#include "binary/symbol_build.h"
#include "binary/unwind_build.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct mapped_file {
	void *bytes;
	size_t size;
};

static void mapped_file_close(struct mapped_file *file)
{
	if (file->bytes)
		munmap(file->bytes, file->size);
}

/* Maps the file and opens it as ELF. Returns 0 or -errno. */
static int open_elf(int fd, struct mapped_file *file, struct elf_file *elf)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -EBADMSG;
	void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	*file = (struct mapped_file){.bytes = bytes, .size = (size_t)st.st_size};
	return elf_file_open(bytes, file->size, elf);
}

static int build_unwind(int fd, struct text *answer)
{
	_cleanup_(mapped_file_close) struct mapped_file file = {0};
	struct elf_file elf;
	struct unwind_image image = {0};
	struct binary_facts facts = {0};
	int r = open_elf(fd, &file, &elf);
	if (r < 0)
		return r;
	elf_file_facts(&elf, &facts);
	r = unwind_build(&elf, &image, NULL);
	if (r < 0 && r != -ENODATA)
		return r;
	if (r == 0)
		facts.flags |= FACTS_HAS_UNWIND;
	artifact_begin(answer, ARTIFACT_UNWIND);
	artifact_add_section(answer, SECTION_FACTS, &facts, sizeof(facts));
	if (r == 0) {
		artifact_add_section(answer, SECTION_UNWIND_HEADER, &image.header,
				     sizeof(image.header));
		artifact_add_section(answer, SECTION_UNWIND_BODY, image.body, image.body_size);
	}
	unwind_image_free(&image);
	return artifact_finish(answer);
}

static int build_symbols(int fd, int debug_fd, struct text *answer)
{
	_cleanup_(mapped_file_close) struct mapped_file file = {0};
	_cleanup_(mapped_file_close) struct mapped_file debug_file = {0};
	struct elf_file elf, debug;
	int r = open_elf(fd, &file, &elf);
	if (r < 0)
		return r;
	bool has_debug = debug_fd >= 0 && open_elf(debug_fd, &debug_file, &debug) == 0;
	return symbol_build(&elf, has_debug ? &debug : NULL, answer);
}

int parser_child_main(void)
{
	static const struct parser_operations operations = {
		.unwind = build_unwind,
		.symbols = build_symbols,
		.lines = line_build,
	};
	return parser_child_run(&operations);
}
