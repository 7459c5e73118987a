/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builders that the parser child runs, each on a file mapped read-only. A file that is truncated
 * meanwhile ends the child with SIGBUS; the daemon counts that and goes on.
 */
#include "binary/parser.h"

#include "binary/allocator_find.h"
#include "binary/dwarf_expand.h"
#include "binary/facts.h"
#include "binary/jit_build.h"
#include "binary/line_build.h"
#include "binary/mapped_elf.h"
#include "binary/parser_child.h"
#include "binary/symbol_build.h"
#include "binary/unwind_build.h"

#include <errno.h>

static int build_unwind(int fd, struct text *answer)
{
	_cleanup_mapped_elf_ struct mapped_elf file;
	struct unwind_image image = {0};
	struct binary_facts facts = {0};
	int r = mapped_elf_open(fd, &file);
	if (r < 0)
		return r;
	elf_file_facts(&file.elf, &facts);
	r = unwind_build(&file.elf, &image, NULL);
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

static int build_allocators(int fd, struct text *answer)
{
	_cleanup_mapped_elf_ struct mapped_elf file;
	_cleanup_(allocator_sections_free) struct allocator_sections sections = {0};
	int r = mapped_elf_open(fd, &file);
	if (r == 0)
		r = allocator_find(&file.elf, &sections);
	/* None is an answer, and no fault of the file. */
	if (r < 0 && r != -ENODATA)
		return r;
	artifact_begin(answer, ARTIFACT_ALLOCATORS);
	if (r == 0)
		allocator_sections_add(&sections, answer);
	return artifact_finish(answer);
}

static int build_dwarf(int fd, struct text *answer)
{
	_cleanup_mapped_elf_ struct mapped_elf file;
	_cleanup_(text_free) struct text expanded = {0};
	int r = mapped_elf_open(fd, &file);
	if (r == 0)
		r = dwarf_expand(&file.elf, &expanded);
	if (r < 0)
		return r;
	artifact_begin(answer, ARTIFACT_DWARF);
	artifact_add_section(answer, SECTION_DWARF_FILE, expanded.bytes, expanded.length);
	return artifact_finish(answer);
}

static int build_symbols(int fd, int debug_fd, struct text *answer)
{
	_cleanup_mapped_elf_ struct mapped_elf file;
	_cleanup_mapped_elf_ struct mapped_elf debug = {0};
	int r = mapped_elf_open(fd, &file);
	if (r < 0)
		return r;
	bool has_debug = debug_fd >= 0 && mapped_elf_open(debug_fd, &debug) == 0;
	return symbol_build(&file.elf, has_debug ? &debug.elf : NULL, answer);
}

int parser_child_main(void)
{
	static const struct parser_operations operations = {
		.unwind = build_unwind,
		.allocators = build_allocators,
		.dwarf = build_dwarf,
		.symbols = build_symbols,
		.lines = line_build,
		.jit = jit_build,
	};
	return parser_child_run(&operations);
}
