/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel has more than a hundred thousand types, and libbpf looks at all of them for each one that a
 * program relocates: half of the CPU time of loading our programs. Of a few hundred types it is none.
 *
 * One walk over all types finds where each one is and which have a wanted name; what these consist of
 * follows, until nothing new comes. Format: Documentation/bpf/btf.rst of the kernel.
 */
#include "collect/kernel_types.h"

#include "base/array.h"
#include "base/hash.h"

#include <bpf/btf.h>
#include <errno.h>
#include <linux/btf.h>
#include <string.h>

/* Newer than the oldest headers that we build with. */
#define KIND_DECL_TAG 17
#define KIND_TYPE_TAG 18
#define KIND_ENUM64 19

#define MAX_TYPES (4U << 20)

struct reduction {
	const char *types;
	size_t types_size;
	const char *names;
	size_t names_size;
	struct strings wanted;
	ARRAY(uint32_t) places; /* of each type in `types`; type 0 is void, and not there */
	uint32_t *numbers;	/* new ones, 0: left out */
	ARRAY(uint32_t) kept;	/* old numbers in the order of the new ones */
	ARRAY(char) out, out_names;
};

/* What follows a type's header, 0 or more bytes; negative: unknown. */
static int64_t size_of_rest(uint32_t info)
{
	int64_t count = BTF_INFO_VLEN(info);
	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_PTR: case BTF_KIND_FWD: case BTF_KIND_TYPEDEF: case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST: case BTF_KIND_RESTRICT: case BTF_KIND_FUNC: case BTF_KIND_FLOAT:
	case KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT: case BTF_KIND_VAR: case KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT: case BTF_KIND_UNION:
		return count * (int64_t)sizeof(struct btf_member);
	case BTF_KIND_ENUM: case BTF_KIND_FUNC_PROTO:
		return count * 8;
	case BTF_KIND_DATASEC: case KIND_ENUM64:
		return count * 12;
	}
	return -1;
}

static bool has_wanted_kind(uint32_t info)
{
	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_STRUCT: case BTF_KIND_UNION: case BTF_KIND_ENUM: case BTF_KIND_TYPEDEF:
	case BTF_KIND_INT: case KIND_ENUM64:
		return true;
	}
	return false;
}

static size_t length_without_flavour(const char *name)
{
	const char *flavour = strstr(name, "___");
	return flavour && flavour > name ? (size_t)(flavour - name) : strlen(name);
}

static int note_wanted(struct reduction *t, const struct btf *wanted)
{
	uint32_t index;
	int r = 0;
	for (uint32_t id = 1; r == 0 && id < btf__type_cnt(wanted); id++) {
		const struct btf_type *type = btf__type_by_id(wanted, id);
		const char *name = btf__name_by_offset(wanted, type->name_off);
		if (name && *name && has_wanted_kind(type->info))
			r = strings_add(&t->wanted, name, length_without_flavour(name), &index);
	}
	return r;
}

static int open_kernel(struct reduction *t, const char *bytes, size_t size)
{
	struct btf_header header;
	if (size < sizeof(header))
		return -EBADMSG;
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != BTF_MAGIC || header.hdr_len > size)
		return -EBADMSG;
	size_t rest = size - header.hdr_len;
	if (header.type_off > rest || header.type_len > rest - header.type_off || header.str_off > rest ||
	    header.str_len > rest - header.str_off || !header.str_len)
		return -EBADMSG;
	t->types = bytes + header.hdr_len + header.type_off;
	t->types_size = header.type_len;
	t->names = bytes + header.hdr_len + header.str_off;
	t->names_size = header.str_len;
	return t->names[t->names_size - 1] ? -EBADMSG : 0;
}

/* NULL: damaged */
static const char *name_at(const struct reduction *t, uint32_t offset)
{
	return offset < t->names_size ? t->names + offset : NULL;
}

static struct btf_type type_at(const struct reduction *t, uint32_t place)
{
	struct btf_type type;
	memcpy(&type, t->types + place, sizeof(type));
	return type;
}

/* Gives a type its new number, and 0 to void. */
static int keep(struct reduction *t, uint32_t old, uint32_t *ret)
{
	if (old >= t->places.count)
		return -EBADMSG;
	if (old && !t->numbers[old]) {
		int r = array_add(&t->kept, old);
		if (r < 0)
			return r;
		t->numbers[old] = t->kept.count;
	}
	*ret = t->numbers[old];
	return 0;
}

static int find_places(struct reduction *t)
{
	int r = array_add(&t->places, 0);
	for (size_t at = 0; r == 0 && at < t->types_size;) {
		if (t->types_size - at < sizeof(struct btf_type) || t->places.count == MAX_TYPES)
			return -EBADMSG;
		int64_t rest = size_of_rest(type_at(t, at).info);
		if (rest < 0)
			return -EOPNOTSUPP;
		if ((uint64_t)rest > t->types_size - at - sizeof(struct btf_type))
			return -EBADMSG;
		r = array_add(&t->places, at);
		at += sizeof(struct btf_type) + (size_t)rest;
	}
	return r;
}

static int keep_wanted(struct reduction *t)
{
	uint32_t number;
	int r = 0;
	t->numbers = calloc(t->places.count, sizeof(*t->numbers));
	if (!t->numbers)
		return -ENOMEM;
	for (uint32_t old = 1; r == 0 && old < t->places.count; old++) {
		struct btf_type type = type_at(t, t->places.items[old]);
		if (!has_wanted_kind(type.info))
			continue;
		const char *name = name_at(t, type.name_off);
		if (!name)
			return -EBADMSG;
		if (*name && strings_find(&t->wanted, name, length_without_flavour(name), &number))
			r = keep(t, old, &number);
	}
	return r;
}

/* ---- Writing -------------------------------------------------------------------------------------- */

static int put(struct reduction *t, const void *bytes, size_t size)
{
	/* In steps that double, whatever is added. */
	size_t wanted = t->out.count + size;
	int r = wanted <= t->out.capacity ? 0 : array_reserve(&t->out, 2 * wanted);
	if (r < 0)
		return r;
	memcpy(t->out.items + t->out.count, bytes, size);
	t->out.count += size;
	return 0;
}

static int put_name(struct reduction *t, uint32_t *offset)
{
	const char *name = name_at(t, *offset);
	if (!name)
		return -EBADMSG;
	*offset = *name ? t->out_names.count : 0;
	for (int r = 0; *offset; name++) {
		r = array_add(&t->out_names, *name);
		if (r < 0 || !*name)
			return r;
	}
	return 0;
}

static int put_members(struct reduction *t, const char *at, uint32_t count)
{
	int r = 0;
	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct btf_member member;
		memcpy(&member, at + i * sizeof(member), sizeof(member));
		r = keep(t, member.type, &member.type);
		if (r == 0)
			r = put_name(t, &member.name_off);
		if (r == 0)
			r = put(t, &member, sizeof(member));
	}
	return r;
}

static int put_array(struct reduction *t, const char *at)
{
	struct btf_array array;
	memcpy(&array, at, sizeof(array));
	int r = keep(t, array.type, &array.type);
	if (r == 0)
		r = keep(t, array.index_type, &array.index_type);
	return r < 0 ? r : put(t, &array, sizeof(array));
}

/* Names and numbers of an enumeration, each value of `size` bytes. */
static int put_values(struct reduction *t, const char *at, uint32_t count, size_t size)
{
	int r = 0;
	for (uint32_t i = 0; i < count && r == 0; i++) {
		char value[12];
		uint32_t name;
		memcpy(value, at + i * size, size);
		memcpy(&name, value, sizeof(name));
		r = put_name(t, &name);
		memcpy(value, &name, sizeof(name));
		if (r == 0)
			r = put(t, value, size);
	}
	return r;
}

static int put_rest(struct reduction *t, uint32_t info, const char *at)
{
	uint32_t count = BTF_INFO_VLEN(info);
	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_STRUCT: case BTF_KIND_UNION:
		return put_members(t, at, count);
	case BTF_KIND_ARRAY:
		return put_array(t, at);
	case BTF_KIND_ENUM:
		return put_values(t, at, count, sizeof(struct btf_enum));
	case KIND_ENUM64:
		return put_values(t, at, count, 12);
	}
	return put(t, at, (size_t)size_of_rest(info));
}

static int put_type(struct reduction *t, uint32_t old)
{
	uint32_t place = t->places.items[old];
	struct btf_type type = type_at(t, place);
	int r = 0;
	switch (BTF_INFO_KIND(type.info)) {
	case BTF_KIND_PTR:
		type.type = 0;
		break;
	case BTF_KIND_TYPEDEF: case BTF_KIND_VOLATILE: case BTF_KIND_CONST: case BTF_KIND_RESTRICT:
	case KIND_TYPE_TAG:
		r = keep(t, type.type, &type.type);
		break;
	case BTF_KIND_STRUCT: case BTF_KIND_UNION: case BTF_KIND_ENUM: case BTF_KIND_INT:
	case BTF_KIND_ARRAY: case BTF_KIND_FWD: case BTF_KIND_FLOAT: case KIND_ENUM64:
		break;
	default: /* functions and variables are no part of a type */
		return -EBADMSG;
	}
	if (r == 0)
		r = put_name(t, &type.name_off);
	if (r == 0)
		r = put(t, &type, sizeof(type));
	return r < 0 ? r : put_rest(t, type.info, t->types + place + sizeof(type));
}

static int write_all_types(struct reduction *t)
{
	struct btf_header header = {.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(header)};
	int r = array_add(&t->out_names, '\0');
	if (r == 0)
		r = put(t, &header, sizeof(header));
	/* More of them are kept meanwhile. */
	for (size_t i = 0; r == 0 && i < t->kept.count; i++)
		r = put_type(t, t->kept.items[i]);
	header.type_len = t->out.count - sizeof(header);
	header.str_off = header.type_len;
	header.str_len = t->out_names.count;
	if (r == 0)
		r = put(t, t->out_names.items, t->out_names.count);
	if (r == 0)
		memcpy(t->out.items, &header, sizeof(header));
	return r;
}

int kernel_types_reduce(const void *kernel, size_t size, const struct btf *wanted, void **ret_bytes,
			size_t *ret_size)
{
	struct reduction t = {0};
	int r = open_kernel(&t, kernel, size);
	if (r == 0)
		r = note_wanted(&t, wanted);
	if (r == 0)
		r = find_places(&t);
	if (r == 0)
		r = keep_wanted(&t);
	if (r == 0)
		r = write_all_types(&t);
	if (r == 0) {
		*ret_bytes = t.out.items;
		*ret_size = t.out.count;
		t.out.items = NULL;
	}
	strings_free(&t.wanted);
	array_free(&t.places);
	array_free(&t.kept);
	array_free(&t.out);
	array_free(&t.out_names);
	free(t.numbers);
	return r;
}

uint32_t kernel_types_find_function(const void *kernel, size_t size, const char *name)
{
	struct reduction t = {0};
	uint32_t found = 0;
	int r = open_kernel(&t, kernel, size);
	if (r == 0)
		r = find_places(&t);
	for (uint32_t id = 1; r == 0 && !found && id < t.places.count; id++) {
		struct btf_type type = type_at(&t, t.places.items[id]);
		const char *its = BTF_INFO_KIND(type.info) == BTF_KIND_FUNC ? name_at(&t, type.name_off) : NULL;
		if (its && strcmp(its, name) == 0)
			found = id;
	}
	array_free(&t.places);
	return found;
}
