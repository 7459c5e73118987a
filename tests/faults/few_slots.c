/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that has met millions of files, for one process: preloaded, it has the BPF side give out its slots in such
 * strides that each CPU has only twenty.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#define STRIDE ((1U << 22) / 20) /* of the slots that the BPF side has, see SLOT_FIRST_KERNEL_MADE */

/* Where a constant of the programs lies in its section, or -1. */
static long offset_of(const struct btf *btf, const char *section, const char *name)
{
	int id = btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	for (uint16_t i = 0; type && i < btf_vlen(type); i++) {
		const struct btf_var_secinfo *variable = btf_var_secinfos(type) + i;
		const struct btf_type *is = btf__type_by_id(btf, variable->type);
		if (is && !strcmp(btf__name_by_offset(btf, is->name_off), name))
			return variable->offset;
	}
	return -1;
}

int bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton)
{
	int (*real)(struct bpf_object_skeleton *) =
		(int (*)(struct bpf_object_skeleton *))dlsym(RTLD_NEXT, "bpf_object__load_skeleton");
	long offset = offset_of(bpf_object__btf(*skeleton->obj), ".rodata", "walk_count");
	const char *maps = (const char *)skeleton->maps;

	for (int i = 0; i < skeleton->map_cnt && offset >= 0; i++) {
		const struct bpf_map_skeleton *map = (const void *)(maps + i * skeleton->map_skel_sz);
		if (strstr(map->name, ".rodata") && map->mmaped)
			*(uint32_t *)((char *)*map->mmaped + offset) = STRIDE;
	}
	return real(skeleton);
}
