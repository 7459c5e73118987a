/* SPDX-License-Identifier: Apache-2.0 */
/* See bpf_symbols.h. Names are made as the kernel makes them: bpf_get_prog_name() in kernel/bpf/core.c. */
#include "collect/bpf_symbols.h"

#include "base/file.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

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

static int add_functions(struct generated_code *code, const struct functions *f, const struct btf *btf)
{
	for (uint32_t i = 0; i < f->count; i++) {
		/* Zero: this process may not see addresses. */
		if (!f->addresses[i] || !f->sizes[i])
			continue;
		char *name = symbol_name(f, btf, i);
		int r = name ? generated_code_add(code, f->addresses[i], f->sizes[i], name, 0) : -ENOMEM;
		free(name);
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

static int read_program(struct generated_code *code, uint32_t id)
{
	_cleanup_(free_functions) struct functions f = {0};
	_cleanup_fd_ int program = bpf_prog_get_fd_by_id(id);
	if (program < 0)
		return program == -ENOENT ? 0 : program; /* gone meanwhile */
	int r = read_functions(program, &f);
	if (r < 0)
		return r == -ENODATA ? 0 : r; /* not compiled */
	struct btf *btf = f.records ? btf__load_from_kernel_by_id(f.btf_id) : NULL;
	r = add_functions(code, &f, btf);
	btf__free(btf);
	return r;
}

void bpf_symbols_read(struct generated_code *code, uint32_t *last_id)
{
	uint32_t id = *last_id;
	while (bpf_prog_get_next_id(id, &id) == 0 && read_program(code, id) == 0)
		*last_id = id;
}
