/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast unwind tables are made of call frame information, and how small they are, over every ELF
 * file in a directory; beside it, in the same run, how fast libdw walks through the rules of one file
 * in sixteen. Two figures: call frame information to tables alone, and all that a table is made of, which
 * is the code that nobody described too.
 *
 * Usage: bench_unwind_build [--only-build] [DIRECTORY], /usr by default. File contents are paged in
 * before the clock starts.
 */
#include "base/file.h"
#include "binary/unwind_build.h"
#include "../truth/cfi_functions.h"
#include "unwind_build_parts.h"

#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBDW_EVERY 16

struct totals {
	uint64_t files;
	uint64_t build_ns, cfi_bytes; /* of files without Go code */
	uint64_t part_ns[UNWIND_BUILD_PARTS]; /* of them */
	uint64_t go_ns, go_functions;
	uint64_t libdw_ns, libdw_bytes;
	uint64_t raw_rows, body_bytes, palette_rules;
	uint64_t pages, narrow_pages, described_pages;
	bool only_build;
};

static void count_pages(struct totals *t, const struct unwind_image *image)
{
	for (uint32_t i = 0; i < image->header.page_count; i++) {
		uint32_t word;
		memcpy(&word, image->body + image->header.index_offset + 4ULL * i, sizeof(word));
		t->pages++;
		t->described_pages += (word & 0xff) != 0;
		t->narrow_pages += (word & 0xff) != 0 && !(word & 0x100);
	}
}

static void count_time(struct totals *t, uint64_t ns, bool go)
{
	uint64_t parts[UNWIND_BUILD_PARTS];
	unwind_build_parts_take(parts);
	if (go) {
		t->go_ns += ns;
		return;
	}
	t->build_ns += ns;
	for (int i = 0; i < UNWIND_BUILD_PARTS; i++)
		t->part_ns[i] += parts[i];
}

static uint64_t build(struct totals *t, void *bytes, size_t size)
{
	uint64_t ignored[UNWIND_BUILD_PARTS];
	struct elf_file elf;
	struct unwind_image image = {0};
	struct unwind_build_statistics statistics = {0};
	unwind_build_parts_take(ignored);
	uint64_t start = cpu_ns();
	int r = elf_file_open(bytes, size, &elf);
	if (r == 0)
		r = unwind_build(&elf, &image, &statistics);
	uint64_t ns = cpu_ns() - start;
	if (r < 0)
		return 0;
	t->files++;
	count_time(t, ns, statistics.go_functions);
	t->cfi_bytes += statistics.go_functions ? 0 : statistics.cfi_bytes;
	t->go_functions += statistics.go_functions;
	t->raw_rows += image.header.raw_rows;
	t->body_bytes += image.body_size;
	t->palette_rules += image.header.palette_count;
	count_pages(t, &image);
	unwind_image_free(&image);
	return statistics.cfi_bytes;
}

/* Every rule of every function, as a program that asks libdw would see them. */
static void walk_with_libdw(struct totals *t, void *bytes, size_t size, uint64_t cfi_bytes)
{
	struct code_ranges functions = {0};
	uint64_t start = cpu_ns();
	Elf *elf = elf_memory(bytes, size);
	bool found = elf && cfi_functions(elf, ".eh_frame", &functions);
	Dwarf_CFI *cfi = found ? dwarf_getcfi_elf(elf) : NULL;
	for (size_t i = 0; cfi && i < functions.list.count; i++) {
		Dwarf_Addr pc = functions.list.items[i].start, from, to;
		while (pc < functions.list.items[i].end) {
			Dwarf_Frame *frame = NULL;
			if (dwarf_cfi_addrframe(cfi, pc, &frame) != 0)
				break;
			dwarf_frame_info(frame, &from, &to, NULL);
			free(frame);
			pc = to > pc ? to : pc + 1;
		}
	}
	if (cfi) {
		t->libdw_ns += cpu_ns() - start;
		t->libdw_bytes += cfi_bytes;
		dwarf_cfi_end(cfi);
	}
	array_free(&functions.list);
	elf_end(elf);
}

static void measure_file(struct totals *t, const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char magic[4];
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || pread(fd, magic, 4, 0) != 4 || memcmp(magic, ELFMAG, 4))
		return;
	void *bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (bytes == MAP_FAILED)
		return;
	uint64_t cfi_bytes = build(t, bytes, st.st_size);
	if (cfi_bytes && !t->only_build && t->files % LIBDW_EVERY == 0)
		walk_with_libdw(t, bytes, st.st_size, cfi_bytes);
	munmap(bytes, st.st_size);
}

static double megabytes_per_second(uint64_t bytes, uint64_t ns)
{
	return ns ? bytes * 1e3 / ns : 0;
}

static void report_parts(const struct totals *t)
{
	static const char *const names[UNWIND_BUILD_PARTS] = {
		[PART_CFI] = "call frame information", [PART_CODE] = "known code", [PART_GAPS] = "undescribed code",
		[PART_FLATTEN] = "flattening", [PART_LAYOUT] = "layout",
	};
	uint64_t rest = t->build_ns;
	printf("time:");
	for (int i = 0; i < UNWIND_BUILD_PARTS; i++) {
		printf(" %s %.3f s,", names[i], t->part_ns[i] / 1e9);
		rest -= t->part_ns[i];
	}
	printf(" the rest %.3f s\n", rest / 1e9);
}

static void report(const struct totals *t)
{
	uint64_t beside = t->part_ns[PART_CODE] + t->part_ns[PART_GAPS];
	double ours = megabytes_per_second(t->cfi_bytes, t->build_ns - beside);
	double all = megabytes_per_second(t->cfi_bytes, t->build_ns);
	double libdw = megabytes_per_second(t->libdw_bytes, t->libdw_ns);
	printf("%llu files, %.1f MB of call frame information in %.2f s, %llu Go functions in %.2f s\n",
	       (unsigned long long)t->files, t->cfi_bytes / 1e6, t->build_ns / 1e9,
	       (unsigned long long)t->go_functions, t->go_ns / 1e9);
	printf("%llu raw rows, %.1f MB of tables: %.2f bytes a raw row\n",
	       (unsigned long long)t->raw_rows, t->body_bytes / 1e6,
	       (double)t->body_bytes / t->raw_rows);
	printf("%llu pages, %.1f %% with rows, of these %.1f %% narrow; %.1f rules a file\n",
	       (unsigned long long)t->pages, 100.0 * t->described_pages / t->pages,
	       100.0 * t->narrow_pages / t->described_pages,
	       (double)t->palette_rules / t->files);
	report_parts(t);
	printf("call frame information to tables %.1f MB/s, with undescribed code %.1f MB/s", ours, all);
	if (t->libdw_ns)
		printf(", libdw walks at %.1f MB/s: ratio %.1f, %.1f", libdw, ours / libdw,
		       all / libdw);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct totals t = {0};
	char everything[] = "/usr";
	elf_version(EV_CURRENT);
	t.only_build = argc > 1 && !strcmp(argv[1], "--only-build");
	char *paths[] = {argc > 1 + t.only_build ? argv[1 + t.only_build] : everything, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	for (FTSENT *entry; tree && (entry = fts_read(tree));)
		if (entry->fts_info == FTS_F)
			measure_file(&t, entry->fts_path);
	if (tree)
		fts_close(tree);
	if (!t.files || !t.raw_rows) {
		printf("no ELF file with unwind information: skipped\n");
		return 77;
	}
	report(&t);
	return 0;
}
