/* SPDX-License-Identifier: Apache-2.0 */
/* See bpf_symbols.h. Names are made as the kernel makes them: bpf_get_prog_name() in kernel/bpf/core.c. */
#include "collect/bpf_symbols.h"

#include "base/file.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_SYMBOLS 16384
#define MAX_FUNCTIONS 1024 /* of a program; the kernel allows 256 */
#define MAX_RECORD 256	   /* bytes of what BTF says of a function */
#define NAME_SIZE 128

/* What a program consists of: one entry for each function. */
struct functions {
	uint32_t count;
	uint64_t *addresses;
	uint32_t *sizes;
	uint8_t (*tags)[BPF_TAG_SIZE];
	char *records; /* struct bpf_func_info, of record_size bytes each; NULL: there is no BTF */
	uint32_t record_size;
	uint32_t btf_id;
	char name[BPF_OBJ_NAME_LEN]; /* of the program */
};

static void free_functions(struct functions *f)
{
	free(f->addresses);
	free(f->sizes);
	free(f->tags);
	free(f->records);
}

static int allocate(struct functions *f, const struct bpf_prog_info *info)
{
	f->count = info->nr_jited_ksyms;
	if (!f->count || f->count > MAX_FUNCTIONS || info->nr_jited_func_lens != f->count ||
	    info->nr_prog_tags != f->count)
		return -ENODATA;
	f->addresses = calloc(f->count, sizeof(*f->addresses));
	f->sizes = calloc(f->count, sizeof(*f->sizes));
	f->tags = calloc(f->count, sizeof(*f->tags));
	if (!f->addresses || !f->sizes || !f->tags)
		return -ENOMEM;
	if (!info->btf_id || info->nr_func_info != f->count ||
	    info->func_info_rec_size < sizeof(struct bpf_func_info) || info->func_info_rec_size > MAX_RECORD)
		return 0;
	f->btf_id = info->btf_id;
	f->record_size = info->func_info_rec_size;
	f->records = calloc(f->count, f->record_size);
	return f->records ? 0 : -ENOMEM;
}

static int read_functions(int program, struct functions *f)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	if (bpf_obj_get_info_by_fd(program, &info, &size) < 0)
		return -errno;
	int r = allocate(f, &info);
	if (r < 0)
		return r;
	struct bpf_prog_info wanted = {
		.nr_jited_ksyms = f->count, .jited_ksyms = (uintptr_t)f->addresses,
		.nr_jited_func_lens = f->count, .jited_func_lens = (uintptr_t)f->sizes,
		.nr_prog_tags = f->count, .prog_tags = (uintptr_t)f->tags,
	};
	if (f->records) {
		wanted.nr_func_info = f->count;
		wanted.func_info_rec_size = f->record_size;
		wanted.func_info = (uintptr_t)f->records;
	}
	size = sizeof(wanted);
	if (bpf_obj_get_info_by_fd(program, &wanted, &size) < 0)
		return -errno;
	memcpy(f->name, wanted.name, sizeof(f->name));
	/* The first function goes by the tag of the whole program. Before Linux 6.4 it went by its own. */
	memcpy(f->tags[0], wanted.tag, sizeof(f->tags[0]));
	/* A program is what it is from its loading on, but what a kernel fills in is its own affair. */
	f->count = MIN_OF(f->count, wanted.nr_jited_ksyms);
	return 0;
}

/* The name that BTF has for a function, otherwise the program's; "" if there is none. */
static const char *function_name(const struct functions *f, const struct btf *btf, uint32_t i)
{
	struct bpf_func_info record;
	if (!btf)
		return f->name;
	memcpy(&record, f->records + (size_t)i * f->record_size, sizeof(record));
	const struct btf_type *type = btf__type_by_id(btf, record.type_id);
	const char *name = type ? btf__name_by_offset(btf, type->name_off) : NULL;
	return name ? name : "";
}

static char *symbol_name(const struct functions *f, const struct btf *btf, uint32_t i)
{
	char text[NAME_SIZE];
	const char *name = function_name(f, btf, i);
	size_t length = (size_t)snprintf(text, sizeof(text), "bpf_prog_");
	for (unsigned j = 0; j < BPF_TAG_SIZE; j++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%02x", f->tags[i][j]);
	snprintf(text + length, sizeof(text) - length, "%s%s", name[0] ? "_" : "", name);
	return strdup(text);
}

/* Forgets what lay there before. */
static void evict(struct bpf_symbols *symbols, uint64_t start, uint64_t size)
{
	size_t kept = 0;
	for (size_t i = 0; i < symbols->items.count; i++) {
		struct bpf_symbol *symbol = &symbols->items.items[i];
		if (symbol->start < start + size && start < symbol->start + symbol->size)
			free(symbol->name);
		else
			symbols->items.items[kept++] = *symbol;
	}
	symbols->items.count = kept;
}

static int add_functions(struct bpf_symbols *symbols, const struct functions *f, const struct btf *btf)
{
	for (uint32_t i = 0; i < f->count; i++) {
		/* Zero: this process may not see addresses. */
		if (!f->addresses[i] || !f->sizes[i] || symbols->items.count >= MAX_SYMBOLS)
			continue;
		evict(symbols, f->addresses[i], f->sizes[i]);
		struct bpf_symbol symbol = {f->addresses[i], f->sizes[i], symbol_name(f, btf, i)};
		if (!symbol.name || array_add(&symbols->items, symbol) < 0) {
			free(symbol.name);
			return -ENOMEM;
		}
	}
	return 0;
}

static int read_program(struct bpf_symbols *symbols, uint32_t id)
{
	_cleanup_(free_functions) struct functions f = {0};
	_cleanup_fd_ int program = bpf_prog_get_fd_by_id(id);
	if (program < 0)
		return program == -ENOENT ? 0 : program; /* gone meanwhile */
	int r = read_functions(program, &f);
	if (r < 0)
		return r == -ENODATA ? 0 : r; /* not compiled */
	struct btf *btf = f.records ? btf__load_from_kernel_by_id(f.btf_id) : NULL;
	r = add_functions(symbols, &f, btf);
	btf__free(btf);
	return r;
}

/* Looks at the programs that are new: ids ascend. */
static void read_new_programs(struct bpf_symbols *symbols)
{
	uint32_t id = symbols->last_id;
	while (bpf_prog_get_next_id(id, &id) == 0 && read_program(symbols, id) == 0)
		symbols->last_id = id;
}

static const struct bpf_symbol *find(const struct bpf_symbols *symbols, uint64_t address)
{
	for (size_t i = 0; i < symbols->items.count; i++)
		if (address - symbols->items.items[i].start < symbols->items.items[i].size)
			return &symbols->items.items[i];
	return NULL;
}

bool bpf_symbols_find(struct bpf_symbols *symbols, uint64_t address, const char **ret_name)
{
	/* Before a name is given away: another program may be where one was. */
	read_new_programs(symbols);
	const struct bpf_symbol *symbol = find(symbols, address);
	if (symbol)
		*ret_name = symbol->name;
	return symbol;
}

void bpf_symbols_free(struct bpf_symbols *symbols)
{
	for (size_t i = 0; i < symbols->items.count; i++)
		free(symbols->items.items[i].name);
	array_free(&symbols->items);
}
