/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of kallsyms is "address type name[\t[module]]" (kernel/kallsyms.c, s_show). Several symbols
 * may share an address: the first one listed is kept, which for the kernel is the global one.
 */
#include "binary/kernel_symbols.h"

#include "binary/stored_symbols.h"

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

/* Of several at one address only the first can be found. */
static void drop_aliases(struct kernel_symbols *s)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->symbols.count; i++)
		if (kept == 0 || s->symbols.items[kept - 1].address != s->symbols.items[i].address)
			s->symbols.items[kept++] = s->symbols.items[i];
	s->symbols.count = kept;
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
	drop_aliases(&s);
	*ret = s;
	return 0;
}

/* "[bpf]", "[__builtin__ftrace]" and the like: get_ksymbol_bpf() and others in kernel/kallsyms.c. */
static bool is_generated(const struct kernel_symbols *s, const struct kernel_symbol *symbol)
{
	const char *module = s->names + symbol->module;
	return symbol->module && (!strcmp(module, "bpf") || !strncmp(module, "__builtin__", 11));
}

void kernel_symbols_take_generated(struct kernel_symbols *s, kernel_symbols_generated callback, void *userdata)
{
	size_t kept = 0, count = s->symbols.count;
	struct kernel_symbol *all = s->symbols.items;
	for (size_t i = 0; i < count; i++) {
		if (!is_generated(s, &all[i])) {
			all[kept++] = all[i];
			continue;
		}
		/* Up to the next one; behind the last the page is its own. */
		bool goes_on = i + 1 < count && is_generated(s, &all[i + 1]);
		uint64_t size = i + 1 < count ? all[i + 1].address - all[i].address : FARTHEST;
		size = MIN_OF(size, goes_on ? FARTHEST : (uint64_t)PAGE_BYTES);
		callback(userdata, all[i].address, size, s->names + all[i].name);
	}
	s->symbols.count = kept;
}

void kernel_symbols_free(struct kernel_symbols *symbols)
{
	stored_symbols_free(symbols->stored);
	free(symbols->module);
	free(symbols->window);
	array_free(&symbols->symbols);
	free(symbols->names);
	*symbols = (struct kernel_symbols){0};
}

_Static_assert(sizeof(struct kernel_symbol) == sizeof(struct stored_symbol), "they are stored as they are");

/* Reads the symbols around an address, unless it was the last one asked for. False: out of memory. */
static bool read_window(struct kernel_symbols *s, uint64_t address)
{
	if (s->window && s->window_address == address)
		return true;
	if (!s->window)
		s->window = malloc(STORED_SYMBOLS_WINDOW * sizeof(*s->window));
	if (!s->window)
		return false;
	s->window_count = stored_symbols_read(s->stored, address, s->window);
	s->window_address = address;
	return true;
}

/* The symbols around an address, in memory or read. */
static const struct kernel_symbol *symbols_around(struct kernel_symbols *s, uint64_t address, size_t *ret_count)
{
	if (s->stored) {
		*ret_count = read_window(s, address) ? s->window_count : 0;
		return (const struct kernel_symbol *)s->window;
	}
	*ret_count = s->symbols.count;
	return s->symbols.items;
}

/* Index of the first symbol above the address. */
static size_t upper_bound(const struct kernel_symbol *symbols, size_t count, uint64_t address)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Between two symbols of the kernel, or of one module, there is nothing else; behind the last one the
 * page is its own. */
bool kernel_symbols_are_certain(struct kernel_symbols *s, uint64_t address)
{
	size_t count;
	const struct kernel_symbol *symbols = symbols_around(s, address, &count);
	size_t above = upper_bound(symbols, count, address);
	if (above == 0)
		return false;
	const struct kernel_symbol *before = &symbols[above - 1];
	if (above < count && before->module == symbols[above].module)
		return true;
	return (before->address ^ address) < PAGE_BYTES;
}

static const char *name_at(const struct kernel_symbols *s, uint32_t offset)
{
	const char *name = s->stored		  ? stored_symbols_name(s->stored, offset)
			   : offset < s->names_size ? s->names + offset
						    : NULL;
	return name ? name : "";
}

/* Kept while the symbol's own name is read. */
static const char *module_at(struct kernel_symbols *s, uint32_t offset)
{
	if (!s->stored || offset == 0)
		return s->stored ? "" : name_at(s, offset);
	free(s->module);
	s->module = strdup(name_at(s, offset));
	return s->module ? s->module : "";
}

bool kernel_symbols_find(struct kernel_symbols *s, uint64_t address, const char **ret_name,
			 const char **ret_module, uint64_t *ret_start)
{
	size_t count;
	const struct kernel_symbol *symbols = symbols_around(s, address, &count);
	size_t above = upper_bound(symbols, count, address);
	if (above == 0 || address - symbols[above - 1].address > FARTHEST)
		return false;
	const struct kernel_symbol *found = &symbols[above - 1];
	*ret_module = module_at(s, found->module);
	*ret_name = name_at(s, found->name);
	*ret_start = found->address;
	return true;
}
