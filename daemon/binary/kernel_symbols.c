/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of kallsyms is "address type name[\t[module]]" (kernel/kallsyms.c, s_show). Several symbols
 * may share an address: the first one listed is kept, which for the kernel is the global one.
 */
#include "binary/kernel_symbols.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_SYMBOLS (4UL << 20)
#define FARTHEST (1UL << 20)
#define PAGE_BYTES 4096 /* the smallest there is */

static int add_name(struct kernel_symbols *s, const char *name, size_t length, uint32_t *ret)
{
	if (s->names_size + length + 1 > UINT32_MAX)
		return -EFBIG;
	if (s->names_size + length + 1 > s->names_capacity) {
		size_t capacity = MAX_OF(s->names_capacity * 2, 1UL << 20);
		char *names = realloc(s->names, capacity);
		if (!names)
			return -ENOMEM;
		s->names = names;
		s->names_capacity = capacity;
	}
	*ret = (uint32_t)s->names_size;
	memcpy(s->names + s->names_size, name, length);
	s->names[s->names_size + length] = '\0';
	s->names_size += length + 1;
	return 0;
}

/* Modules come in runs: the last one's name is used again. */
static int add_module(struct kernel_symbols *s, const char *name, size_t length, uint32_t *last)
{
	if (*last && strlen(s->names + *last) == length && !memcmp(s->names + *last, name, length))
		return 0;
	return add_name(s, name, length, last);
}

static int add_line(struct kernel_symbols *s, const char *line, uint32_t *last_module)
{
	char *end;
	uint64_t address = strtoull(line, &end, 16);
	if (*end != ' ' || !end[1] || end[2] != ' ')
		return 0;
	char type = end[1];
	if (!address || !strchr("tTwW", type))
		return 0;
	const char *name = end + 3;
	size_t length = strcspn(name, "\t\n");
	struct kernel_symbol symbol = {.address = address};
	if (s->symbols.count >= MAX_SYMBOLS)
		return -EFBIG;
	int r = add_name(s, name, length, &symbol.name);
	const char *module = strchr(name + length, '[');
	if (r == 0 && module) {
		r = add_module(s, module + 1, strcspn(module + 1, "]\n"), last_module);
		symbol.module = *last_module;
	}
	return r < 0 ? r : array_add(&s->symbols, symbol);
}

static int compare_symbols(const void *a, const void *b)
{
	const struct kernel_symbol *x = a, *y = b;
	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* The kernel's own come first and in order; modules are listed one by one, behind it on most
 * architectures. */
static void sort_symbols(struct kernel_symbols *s)
{
	struct kernel_symbol *all = s->symbols.items;
	size_t count = s->symbols.count, sorted = 1;
	while (sorted < count && compare_symbols(&all[sorted - 1], &all[sorted]) <= 0)
		sorted++;
	if (sorted == count)
		return;
	qsort(all + sorted, count - sorted, sizeof(*all), compare_symbols);
	if (compare_symbols(&all[sorted - 1], &all[sorted]) > 0)
		qsort(all, count, sizeof(*all), compare_symbols);
}

static int read_lines(FILE *file, struct kernel_symbols *s)
{
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;
	uint32_t empty, last_module = 0;
	int r = add_name(s, "", 0, &empty);
	while (r == 0 && getline(&line, &capacity, file) > 0)
		r = add_line(s, line, &last_module);
	return r;
}

int kernel_symbols_load(const char *path, struct kernel_symbols *ret)
{
	struct kernel_symbols s = {0};
	FILE *file = fopen(path, "re");
	if (!file)
		return -errno;
	int r = read_lines(file, &s);
	fclose(file);
	if (r == 0 && s.symbols.count == 0)
		r = -EACCES;
	if (r < 0) {
		kernel_symbols_free(&s);
		return r;
	}
	sort_symbols(&s);
	*ret = s;
	return 0;
}

void kernel_symbols_free(struct kernel_symbols *symbols)
{
	if (symbols->stored) {
		free(symbols->stored);
	} else {
		array_free(&symbols->symbols);
		free(symbols->names);
	}
	*symbols = (struct kernel_symbols){0};
}

/* Index of the first symbol above the address. */
static size_t upper_bound(const struct kernel_symbols *s, uint64_t address)
{
	size_t low = 0, high = s->symbols.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->symbols.items[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Between two symbols of the kernel, or of one module, there is nothing else; behind the last one the
 * page is its own. */
bool kernel_symbols_are_certain(const struct kernel_symbols *s, uint64_t address)
{
	if (!s->stored)
		return true;
	size_t above = upper_bound(s, address);
	if (above == 0)
		return false;
	const struct kernel_symbol *before = &s->symbols.items[above - 1];
	if (above < s->symbols.count && before->module == s->symbols.items[above].module)
		return true;
	return (before->address ^ address) < PAGE_BYTES;
}

static const char *name_at(const struct kernel_symbols *s, uint32_t offset)
{
	return offset < s->names_size ? s->names + offset : "";
}

bool kernel_symbols_find(const struct kernel_symbols *s, uint64_t address, const char **ret_name,
			 const char **ret_module, uint64_t *ret_start)
{
	size_t low = upper_bound(s, address);
	while (low > 1 && s->symbols.items[low - 2].address == s->symbols.items[low - 1].address)
		low--;
	if (low == 0 || address - s->symbols.items[low - 1].address > FARTHEST)
		return false;
	const struct kernel_symbol *found = &s->symbols.items[low - 1];
	*ret_name = name_at(s, found->name);
	*ret_module = name_at(s, found->module);
	*ret_start = found->address;
	return true;
}
