/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and lines of a large binary: the index made, opened and searched, and lines answered in one
 * batch, beside eu-addr2line given the same addresses; and the kernel's symbols read, beside reading
 * the same bytes. All times are CPU time.
 *
 * Usage: bench_symbols [BINARY]; without one, this program itself.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "binary/kernel_symbols.h"
#include "binary/line_build.h"
#include "binary/mapped_elf.h"
#include "binary/symbol_build.h"
#include "binary/symbol_index.h"
#include "binary/symbol_layout.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define LOOKUPS 1000000
#define LINE_ADDRESSES 500

/* CPU time, ours and that of children that ended: other work on the machine does not count. */
static uint64_t cpu_ns(void)
{
	struct rusage children;
	getrusage(RUSAGE_CHILDREN, &children);
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) +
	       (uint64_t)(children.ru_utime.tv_sec + children.ru_stime.tv_sec) * NS_PER_SECOND +
	       (uint64_t)(children.ru_utime.tv_usec + children.ru_stime.tv_usec) * 1000;
}

static double seconds_since(uint64_t start)
{
	return (double)(cpu_ns() - start) / 1e9;
}

static void bench_lookups(const struct symbol_index *index)
{
	const struct symbol_record *records = index->symbols;
	size_t found = 0;
	uint64_t start = cpu_ns();
	for (uint64_t i = 0; i < LOOKUPS; i++) {
		struct symbol symbol;
		uint64_t address = records[hash_mix(i) % index->symbol_count].address;
		found += symbol_index_find(index, address, &symbol);
	}
	printf("look-up: %.0f ns each, %.1f %% found\n", seconds_since(start) * 1e9 / LOOKUPS,
	       100.0 * (double)found / LOOKUPS);
}

static int compare_addresses(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* Runs eu-addr2line on the addresses; a negative time when it is not there. */
static double time_addr2line(const char *path, const uint64_t *addresses, size_t count)
{
	char command[4096];
	snprintf(command, sizeof(command), "eu-addr2line -i -f -e '%s' >/dev/null 2>&1", path);
	uint64_t start = cpu_ns();
	FILE *pipe = popen(command, "we");
	for (size_t i = 0; pipe && i < count; i++)
		fprintf(pipe, "0x%llx\n", (unsigned long long)addresses[i]);
	int status = pipe ? pclose(pipe) : -1;
	/* Its status is 1 when it knows nothing of an address. */
	return WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? seconds_since(start) : -1;
}

static void bench_lines(const char *path, int fd, const struct symbol_index *index)
{
	const struct symbol_record *records = index->symbols;
	uint64_t addresses[LINE_ADDRESSES];
	struct text lines = {0};
	for (uint64_t i = 0; i < LINE_ADDRESSES; i++)
		addresses[i] = records[hash_mix(i) % index->symbol_count].address;
	qsort(addresses, LINE_ADDRESSES, sizeof(*addresses), compare_addresses);
	uint64_t start = cpu_ns();
	int r = line_build(fd, -1, addresses, LINE_ADDRESSES, true, &lines);
	double ours = seconds_since(start);
	text_free(&lines);
	if (r < 0) {
		printf("lines: %s\n", strerror(-r));
		return;
	}
	double theirs = time_addr2line(path, addresses, LINE_ADDRESSES);
	printf("lines and inlined calls at %d addresses: %.1f ms", LINE_ADDRESSES, ours * 1e3);
	if (theirs >= 0)
		printf(", eu-addr2line %.1f ms: %.2f of it", theirs * 1e3, ours / theirs);
	putchar('\n');
}

static int bench_binary(const char *path)
{
	_cleanup_mapped_elf_ struct mapped_elf file = {0};
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct text t = {0};
	struct artifact artifact;
	struct symbol_index index;
	int r = mapped_elf_open(fd, &file);
	uint64_t start = cpu_ns();
	if (r == 0)
		r = symbol_build(&file.elf, NULL, &t);
	double built = seconds_since(start);
	start = cpu_ns();
	if (r == 0)
		r = artifact_check(t.bytes, t.length, ARTIFACT_SYMBOLS, &artifact);
	if (r == 0)
		r = symbol_index_open(&artifact, &index);
	double opened = seconds_since(start);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return 1;
	}
	printf("%s: %zu symbols, index of %.1f MiB, %.0f bytes a symbol\n", path, index.symbol_count,
	       (double)t.length / (1 << 20), (double)t.length / (double)index.symbol_count);
	printf("made in %.1f ms, %.2f us a symbol; checked and opened in %.2f ms: %.3f of it\n",
	       built * 1e3, built * 1e6 / (double)index.symbol_count, opened * 1e3,
	       opened / built);
	bench_lookups(&index);
	bench_lines(path, fd, &index);
	text_free(&t);
	return 0;
}

static void bench_kernel(void)
{
	struct kernel_symbols symbols;
	char *bytes;
	size_t size;
	uint64_t start = cpu_ns();
	if (read_whole_file("/proc/kallsyms", 1UL << 28, &bytes, &size) < 0)
		return;
	double reading = seconds_since(start);
	free(bytes);
	start = cpu_ns();
	int r = kernel_symbols_load("/proc/kallsyms", &symbols);
	double loading = seconds_since(start);
	if (r < 0) {
		printf("kernel: %s\n", strerror(-r));
		return;
	}
	printf("kernel: %zu symbols in %.1f ms; only reading kallsyms: %.1f ms, ratio %.2f\n",
	       symbols.symbols.count, loading * 1e3, reading * 1e3, loading / reading);
	kernel_symbols_free(&symbols);
}

int main(int argc, char **argv)
{
	bench_kernel();
	return bench_binary(argc > 1 ? argv[1] : "/proc/self/exe");
}
