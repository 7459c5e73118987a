/* SPDX-License-Identifier: Apache-2.0 */
/* See generated_code.h. A host has some hundred such functions, and looks for few of them: they are a list. */
#include "collect/generated_code.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIZE (16UL << 20) /* of one function: the kernel's jump offsets are smaller still */
/* The kernel tells that a program goes before the last CPU has left it. */
#define MOMENT_NS (100 * NS_PER_MS)

static bool is_there(const struct generated_function *f)
{
	return f->until_ns == UINT64_MAX;
}

static bool overlaps(const struct generated_function *f, uint64_t start, uint64_t size)
{
	return f->start < start + size && start < f->start + f->size;
}

static int compare_ends(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* When the older half of those that are gone had gone; 0: none is. */
static uint64_t median_end(const struct generated_code *code)
{
	size_t count = 0;
	uint64_t *ends = code->gone ? malloc(code->gone * sizeof(*ends)) : NULL;
	if (!ends)
		return 0;
	for (size_t i = 0; i < code->functions.count; i++)
		if (!is_there(&code->functions.items[i]))
			ends[count++] = code->functions.items[i].until_ns;
	qsort(ends, count, sizeof(*ends), compare_ends);
	uint64_t median = ends[count / 2];
	free(ends);
	return median;
}

/* Half of them at once: what it takes to look through all is shared by many. */
static void forget_older_half(struct generated_code *code)
{
	size_t kept = 0;
	uint64_t until = median_end(code);
	for (size_t i = 0; i < code->functions.count; i++) {
		struct generated_function *f = &code->functions.items[i];
		if (f->until_ns <= until) {
			free(f->name);
			code->gone--;
			code->forgotten++;
		} else {
			code->functions.items[kept++] = *f;
		}
	}
	code->functions.count = kept;
}

static bool have_room(struct generated_code *code)
{
	if (code->gone >= GENERATED_CODE_MAX_GONE || code->functions.count >= GENERATED_CODE_MAX)
		forget_older_half(code);
	if (code->functions.count < GENERATED_CODE_MAX)
		return true;
	code->forgotten++;
	return false;
}

static int insert(struct generated_code *code, const struct generated_function *function)
{
	struct generated_function added = *function;
	if (!have_room(code))
		return 0;
	added.name = strdup(function->name);
	if (!added.name || array_add(&code->functions, added) < 0) {
		free(added.name);
		code->forgotten++;
		return -ENOMEM;
	}
	code->gone += !is_there(&added);
	code->lowest = code->highest ? MIN_OF(code->lowest, added.start) : added.start;
	code->highest = MAX_OF(code->highest, added.start + added.size);
	return 0;
}

/* An address of 0 is what somebody gets to see who may not see any. */
static bool is_function(uint64_t start, uint64_t size, const char *name)
{
	return start && size && size <= MAX_SIZE && start + size > start && name[0];
}

/* Ends what is there, or cuts it short. Returns whether anything with another name is or was. */
static bool take_place(struct generated_code *code, const struct generated_function *added)
{
	bool is_reused = false;
	for (size_t i = 0; i < code->functions.count; i++) {
		struct generated_function *f = &code->functions.items[i];
		if (!overlaps(f, added->start, added->size))
			continue;
		is_reused |= f->start != added->start || strcmp(f->name, added->name) != 0;
		if (!is_there(f))
			continue;
		if (f->start < added->start) { /* its end was only guessed (kernel_symbols.h) */
			f->size = added->start - f->start;
			continue;
		}
		f->until_ns = added->from_ns;
		code->gone++;
	}
	return is_reused;
}

/* The one of which nothing was told, and which is there after all. */
static struct generated_function *find_doubtful(struct generated_code *code, uint64_t start, const char *name)
{
	for (size_t i = 0; i < code->functions.count; i++) {
		struct generated_function *f = &code->functions.items[i];
		if (f->is_doubtful && f->start == start && !strcmp(f->name, name))
			return f;
	}
	return NULL;
}

static bool revive(struct generated_code *code, uint64_t start, const char *name)
{
	struct generated_function *f = find_doubtful(code, start, name);
	if (!f)
		return false;
	f->is_doubtful = false;
	f->until_ns = UINT64_MAX;
	code->gone--;
	return true;
}

void generated_code_doubt(struct generated_code *code, uint64_t now_ns)
{
	code->doubts++;
	for (size_t i = 0; i < code->functions.count; i++) {
		struct generated_function *f = &code->functions.items[i];
		if (!is_there(f))
			continue;
		f->until_ns = now_ns;
		f->is_doubtful = true;
		code->gone++;
	}
}

int generated_code_add(struct generated_code *code, uint64_t start, uint64_t size, const char *name, uint64_t from_ns)
{
	struct generated_function added = {start, size, from_ns, UINT64_MAX, false, (char *)name};
	if (!is_function(start, size, name))
		return -EINVAL;
	if (revive(code, start, name))
		return 0;
	bool is_reused = take_place(code, &added);
	code->is_reused |= is_reused;
	int r = insert(code, &added);
	return r < 0 ? r : is_reused;
}

int generated_code_remove(struct generated_code *code, uint64_t start, uint64_t size, const char *name,
			  uint64_t until_ns)
{
	struct generated_function gone = {start, size, 0, until_ns, false, (char *)name};
	if (!is_function(start, size, name))
		return -EINVAL;
	for (size_t i = 0; i < code->functions.count; i++) {
		struct generated_function *f = &code->functions.items[i];
		if (f->start != start || !is_there(f) || strcmp(f->name, name) != 0)
			continue;
		f->until_ns = until_ns;
		code->gone++;
		return 0;
	}
	return insert(code, &gone);
}

/* A moment early or late will do where nothing else was. */
static bool may_be_at(const struct generated_function *f, uint64_t address, uint64_t time_ns)
{
	return address - f->start < f->size && f->from_ns <= time_ns + MOMENT_NS &&
	       (is_there(f) || time_ns <= f->until_ns + MOMENT_NS);
}

/* Of those that may be meant the one that came last before that time; if all came later, the first. */
const struct generated_function *generated_code_find(const struct generated_code *code, uint64_t address,
						     uint64_t time_ns)
{
	const struct generated_function *best = NULL;
	if (address < code->lowest || address >= code->highest)
		return NULL;
	for (size_t i = 0; i < code->functions.count; i++) {
		const struct generated_function *f = &code->functions.items[i];
		if (!may_be_at(f, address, time_ns))
			continue;
		bool is_earlier = f->from_ns <= time_ns, is_best_earlier = best && best->from_ns <= time_ns;
		if (!best || (is_earlier && (!is_best_earlier || f->from_ns >= best->from_ns)) ||
		    (!is_earlier && !is_best_earlier && f->from_ns < best->from_ns))
			best = f;
	}
	return best;
}

bool generated_code_covers(const struct generated_code *code, uint64_t address)
{
	if (address < code->lowest || address >= code->highest)
		return false;
	for (size_t i = 0; i < code->functions.count; i++)
		if (address - code->functions.items[i].start < code->functions.items[i].size &&
		    !code->functions.items[i].is_doubtful)
			return true;
	return false;
}

/* kernel/bpf/core.c and trampoline.c; FTRACE_TRAMPOLINE_SYM in kernel/trace/ftrace.c; KPROBE_INSN_PAGE_SYM and
 * KPROBE_OPTINSN_PAGE_SYM in include/linux/kprobes.h. */
const char *generated_code_module(const struct generated_function *function)
{
	if (!strncmp(function->name, "bpf_", 4))
		return "bpf";
	return strncmp(function->name, "ftrace_", 7) ? "__builtin__kprobes" : "__builtin__ftrace";
}

bool generated_code_knows(const struct generated_code *code, uint64_t start, const char *name, uint64_t since_ns)
{
	for (size_t i = 0; i < code->functions.count; i++) {
		const struct generated_function *f = &code->functions.items[i];
		if (f->start == start && f->until_ns >= since_ns && !f->is_doubtful && !strcmp(f->name, name))
			return true;
	}
	return false;
}

void generated_code_free(struct generated_code *code)
{
	for (size_t i = 0; i < code->functions.count; i++)
		free(code->functions.items[i].name);
	array_free(&code->functions);
	*code = (struct generated_code){0};
}
