/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Are the places that the finder chooses as good as the entries of the functions? Runs a program that waits
 * for a line on its standard input, sets on each probed function of one file two uprobes, at its entry and at
 * the chosen place, and compares the arguments of every call, in their order, as both saw them.
 *
 * Usage: probe_points PATTERN PROGRAM [LIBRARY to preload]: the file is the first mapping of the program that
 * matches PATTERN. What was compared goes to standard output.
 */
#include "base/file.h"
#include "binary/allocator_find.h"
#include "binary/allocator_names.h"

#include <asm/perf_regs.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77
#define RING_SIZE (1 << 20)
#define MAX_CALLS 4096

#ifdef __x86_64__
/* perf's numbers in the order of DWARF's. */
static const unsigned int perf_registers[] = {
	PERF_REG_X86_AX, PERF_REG_X86_DX, PERF_REG_X86_CX, PERF_REG_X86_BX, PERF_REG_X86_SI,
	PERF_REG_X86_DI, PERF_REG_X86_BP, PERF_REG_X86_SP, PERF_REG_X86_R8, PERF_REG_X86_R9,
	PERF_REG_X86_R10, PERF_REG_X86_R11, PERF_REG_X86_R12, PERF_REG_X86_R13, PERF_REG_X86_R14,
	PERF_REG_X86_R15};
static const uint8_t argument_registers[] = {5, 4, 1, 2};
#define REGISTER_MASK 0xff01ffULL
#define REGISTER_COUNT 17
#else
static const unsigned int perf_registers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const uint8_t argument_registers[] = {0, 1, 2, 3};
#define REGISTER_MASK 0xffffULL
#define REGISTER_COUNT 16
#endif

static pid_t child;
static int to_child, from_child;

static void end_child(void)
{
	if (child > 0)
		kill(child, SIGKILL);
}

static void fail(const char *what, const char *of)
{
	printf("failed: %s: %s\n", of, what);
	exit(1);
}

static void start(char **argv)
{
	int input[2], output[2];
	if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0)
		fail(strerror(errno), "pipe");
	child = fork();
	if (child == 0) {
		dup2(input[0], 0);
		dup2(output[1], 1);
		if (argv[1])
			setenv("LD_PRELOAD", argv[1], 1);
		execl(argv[0], argv[0], (char *)NULL);
		_exit(127);
	}
	atexit(end_child);
	close(input[0]);
	close(output[1]);
	to_child = input[1];
	from_child = output[0];
}

/* Does the program map a file that matches? Its path goes to `path`. */
static bool maps_file(const char *pattern, char *path, size_t size)
{
	char maps[64], line[4600];
	bool is_there = false;
	snprintf(maps, sizeof(maps), "/proc/%d/maps", (int)child);
	FILE *file = fopen(maps, "r");
	while (file && !is_there && fgets(line, sizeof(line), file)) {
		char *found = strchr(line, '/');
		if (!found)
			continue;
		found[strcspn(found, "\n")] = '\0';
		is_there = strstr(found, pattern);
		snprintf(path, size, "%s", found);
	}
	if (file)
		fclose(file);
	return is_there;
}

/* Waits until the program is loaded. */
static void find_file(const char *pattern, char *path, size_t size)
{
	for (int tries = 0; tries < 500; tries++, usleep(10000))
		if (maps_file(pattern, path, size))
			return;
	fail("not mapped by the program", pattern);
}

/* ---- Probes ------------------------------------------------------------------------------------ */

struct seen {
	uint64_t registers[REGISTER_COUNT];
};

struct probe {
	int fd;
	struct perf_event_mmap_page *ring;
};

static int uprobe_type(void)
{
	char text[32] = "";
	_cleanup_fd_ int fd = open("/sys/bus/event_source/devices/uprobe/type", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
		printf("skipped: no uprobes here\n");
		exit(SKIPPED);
	}
	return atoi(text);
}

static struct probe set_probe(const char *path, uint64_t offset)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = (unsigned int)uprobe_type(),
		.config1 = (uintptr_t)path,
		.config2 = offset,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_REGS_USER,
		.sample_regs_user = REGISTER_MASK,
	};
	struct probe probe;
	probe.fd = (int)syscall(SYS_perf_event_open, &attr, child, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (probe.fd < 0 && (errno == EACCES || errno == EPERM)) {
		printf("skipped: %s\n", strerror(errno));
		exit(SKIPPED);
	}
	if (probe.fd < 0)
		fail(strerror(errno), "perf_event_open");
	probe.ring = mmap(NULL, RING_SIZE + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, probe.fd, 0);
	if (probe.ring == MAP_FAILED)
		fail(strerror(errno), "mmap");
	return probe;
}

/* All calls so far; ends the test when one was lost. */
static size_t read_probe(struct probe *probe, struct seen *seen, const char *name)
{
	const char *data = (const char *)probe->ring + 4096;
	uint64_t head = __atomic_load_n(&probe->ring->data_head, __ATOMIC_ACQUIRE);
	size_t count = 0;
	for (uint64_t at = probe->ring->data_tail; at < head;) {
		const struct perf_event_header *header = (const void *)(data + at % RING_SIZE);
		if (header->type == PERF_RECORD_LOST || count == MAX_CALLS)
			fail("calls were lost", name);
		if (header->type == PERF_RECORD_SAMPLE)
			memcpy(seen[count++].registers, data + at % RING_SIZE + sizeof(*header) + 8,
			       sizeof(seen->registers));
		at += header->size;
	}
	return count;
}

/* ---- Comparison -------------------------------------------------------------------------------- */

/* By DWARF's number: the place among the registers sampled. */
static uint64_t register_of(const struct seen *seen, uint8_t number)
{
	unsigned int bit = perf_registers[number];
	return seen->registers[__builtin_popcountll(REGISTER_MASK & ((1ULL << bit) - 1))];
}

static void expect_same(const struct seen *entry, int8_t argument, const struct seen *point,
			uint8_t place, const char *name)
{
	if (argument < 0)
		return;
	uint64_t want = register_of(entry, argument_registers[argument]);
	if (register_of(point, place) != want) {
		printf("argument %d: %#llx at the entry, %#llx in register %d\n", argument,
		       (unsigned long long)want, (unsigned long long)register_of(point, place), place);
		fail("another argument at the chosen place", name);
	}
}

static size_t compare(const struct allocator_probe *p, const char *name, struct probe *entry,
		      struct probe *point)
{
	static struct seen entries[MAX_CALLS], points[MAX_CALLS];
	enum allocator_spelling spelling;
	const struct allocator_name *meaning = allocator_name_find(name, strlen(name), &spelling);
	size_t calls = read_probe(entry, entries, name), passes = read_probe(point, points, name);
	size_t at = 0;
	for (size_t i = 0; i < calls; i++) {
		bool is_null = meaning->pointer >= 0 &&
			       !register_of(&entries[i], argument_registers[meaning->pointer]);
		if ((p->flags & PROBE_SKIPS_TRIVIAL) && is_null)
			continue;
		if (at == passes)
			fail("fewer calls at the chosen place", name);
		expect_same(&entries[i], meaning->size, &points[at], p->size, name);
		expect_same(&entries[i], meaning->count, &points[at], p->count, name);
		expect_same(&entries[i], meaning->pointer, &points[at], p->pointer, name);
		at++;
	}
	if (at != passes)
		fail("more calls at the chosen place", name);
	printf("%-40s +%-3llu %5zu calls, %zu there%s\n", name,
	       (unsigned long long)(p->offset - p->entry), calls, passes,
	       p->flags & PROBE_EMULATED ? "" : ", not emulated");
	return calls;
}

static void round_trip(void)
{
	char byte = '\n';
	if (write(to_child, &byte, 1) != 1 || read(from_child, &byte, 1) != 1)
		fail("the program did not answer", "pipe");
}

static void check(const char *path, const struct allocator_sections *sections)
{
	static struct probe entries[ALLOCATOR_MAX_PROBES], points[ALLOCATOR_MAX_PROBES];
	const struct allocator_probe *probes = (const void *)sections->probes.bytes;
	size_t count = sections->probes.length / sizeof(*probes), hit = 0;
	for (size_t i = 0; i < count; i++) {
		entries[i] = set_probe(path, probes[i].entry);
		points[i] = set_probe(path, probes[i].offset);
	}
	round_trip();
	for (size_t i = 0; i < count; i++)
		hit += compare(&probes[i], sections->names.bytes + probes[i].name, &entries[i],
			       &points[i]) > 0;
	printf("%zu of %zu functions were called\n", hit, count);
	if (hit < 3)
		fail("malloc, realloc and free were not all seen", path);
}

int main(int argc, char **argv)
{
	char path[4400];
	struct elf_file elf;
	struct allocator_sections sections = {0};
	_cleanup_free_ char *bytes = NULL;
	size_t size;
	if (argc < 3)
		return 2;
	start(argv + 2);
	find_file(argv[1], path, sizeof(path));
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read_whole_fd(fd, 1 << 28, &bytes, &size) < 0 ||
	    elf_file_open(bytes, size, &elf) < 0)
		fail("cannot be read", path);
	if (allocator_find(&elf, &sections) < 0)
		fail("no allocator found", path);
	const struct allocator_facts *facts = (const void *)sections.facts.bytes;
	printf("%s: %s\n", path, allocator_kind_name(facts->kind));
	check(path, &sections);
	allocator_sections_free(&sections);
	return 0;
}
