/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's memory as the kernel keeps it, made of a list of mappings: mm_struct, the tree of
 * vm_area_structs (a maple tree or a red-black tree), their files and inodes; in the layout of
 * bpf/bpf_core_read.h, at addresses from REPLAY_KERNEL_BASE on.
 */
#pragma once

#include "unwinder.h"

struct replay_mapping {
	u64 start, end;
	u64 offset;    /* into the file, bytes */
	u32 executable;
	u32 has_file;
	u32 is_vdso;
	u32 padding;
	struct binary_key key; /* of the file */
};

/* Bytes that `count` mappings take at most. */
u64 kernel_objects_size(u32 count);

/* Fills `memory` (zeroed, kernel_objects_size() bytes) from mappings in ascending order, and sets
 * world->kernel, kernel_size and mm. world->red_black_tree says which tree. */
void kernel_objects_make(struct replay_world *world, unsigned char *memory,
			 const struct replay_mapping *mappings, u32 count);
