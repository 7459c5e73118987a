/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From an address of the current task to the executable mapping that holds it, and from the mapping to
 * what is known of its file.
 *
 * The kernel's own tree of mappings is walked, without a lock, by reads that cannot fault: it is right
 * at the moment of the sample, so a process that started a millisecond ago, or has just loaded another
 * library at the same address, needs nobody to announce it. A writer on another CPU can make a walk
 * fail or find nothing; the stack then ends with a reason, it is never wrong silently, because the
 * mapping found must contain the address.
 *
 * What was found is kept for the process's next sample. When its mappings have changed since, as they do at every
 * mmap() and brk(), most are what they were: each is asked for by what it lies in (prove_mapping()), not searched for.
 *
 * A file is known by struct binary_key. One that nobody announced gets a slot here, so that its frames
 * keep their meaning, and a notice asks the daemon for its tables.
 */
#pragma once

#include "kernel_block.bpf.h"

/* Maple tree encoding: include/linux/maple_tree.h, lib/maple_tree.c. Low bits of a node pointer: bit 1
 * set in the root entry, bits 3..6 the node type. */
#define MAPLE_NODE_MASK 0xffULL
#define MAPLE_TYPE(entry) (((entry) >> 3) & 0xf)
#define MAPLE_LEAF_64 1
#define MAPLE_RANGE_64 2
#define MAPLE_ARANGE_64 3
#define MAPLE_MAX_DEPTH 8
#define RB_MAX_DEPTH 40

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct maple_metadata {
	unsigned char end;
};
struct maple_range_64 {
	unsigned long pivot[15];
	void *slot[16];
	struct maple_metadata meta;
};
struct maple_arange_64 {
	unsigned long pivot[9];
	void *slot[10];
	struct maple_metadata meta;
};
#pragma clang attribute pop

/* Index of the slot of the node in scratch->block, whose pivots begin at word `first`, that covers
 * scratch->lookup_pc. */
__noinline int maple_slot(u32 walk, u32 first, u32 pivots)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return 0;
	u64 address = s->lookup_pc;
	for (u32 i = 0; i < 15; i++) {
		if (i >= pivots)
			return pivots;
		/* A zero pivot behind the first is an unused one: the slot reaches the node's end. */
		u64 pivot = s->block[(first + i) & (KERNEL_BLOCK_WORDS - 1)];
		if (pivot >= address || (pivot == 0 && i > 0))
			return i;
	}
	return 15;
}

/* Descends one level from the encoded node in scratch->word; leaves the slot's contents there. Returns
 * 1 when that is a mapping (or 0), 0 to go on, -1 when the tree is not readable. */
__noinline int maple_descend(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	/* Global functions are verified also where nothing calls them. */
	if (!s || !bpf_core_type_exists(struct maple_arange_64))
		return -1;
	u32 type = MAPLE_TYPE(s->word);
	u32 pivots, slots, count = 15;

	if (read_block(s, KERNEL_BLOCK_SIZE, (void *)(s->word & ~MAPLE_NODE_MASK)))
		return -1;
	if (type == MAPLE_ARANGE_64) {
		u32 end_at = bpf_core_field_offset(struct maple_arange_64, meta.end);
		u32 end = block_u64(s, end_at) >> (end_at & 7) * 8 & 0xff;
		pivots = bpf_core_field_offset(struct maple_arange_64, pivot);
		slots = bpf_core_field_offset(struct maple_arange_64, slot);
		count = end < 9 ? end : 9;
	} else if (type == MAPLE_LEAF_64 || type == MAPLE_RANGE_64) {
		pivots = bpf_core_field_offset(struct maple_range_64, pivot);
		slots = bpf_core_field_offset(struct maple_range_64, slot);
	} else {
		return -1;
	}
	u32 slot = maple_slot(walk, pivots / 8, count);
	if (slot > 15)
		return -1;
	s->word = block_u64(s, slots + slot * 8);
	return type == MAPLE_LEAF_64;
}

static __always_inline struct vm_area_struct *area_in_maple_tree(u32 walk, struct scratch *s)
{
	struct mm_struct___with_maple_tree *mm = (void *)s->mm;

	s->word = (u64)BPF_CORE_READ(mm, mm_mt.ma_root);
	if ((s->word & 3) != 2 || s->word <= 4096)
		return 0;
	for (u32 depth = 0; depth < MAPLE_MAX_DEPTH; depth++) {
		int r = maple_descend(walk);
		if (r < 0)
			return 0;
		if (r > 0)
			return (s->word & 3) ? 0 : (struct vm_area_struct *)s->word;
	}
	return 0;
}

static __always_inline struct vm_area_struct *area_in_rb_tree(struct scratch *s)
{
	struct mm_struct___with_rb_tree *mm = (void *)s->mm;
	struct rb_node *node = BPF_CORE_READ(mm, mm_rb.rb_node);

	for (u32 depth = 0; depth < RB_MAX_DEPTH && node; depth++) {
		struct vm_area_struct *area =
			(void *)((char *)node -
				 bpf_core_field_offset(struct vm_area_struct___in_rb_tree, vm_rb));
		if (s->lookup_pc >= BPF_CORE_READ(area, vm_end))
			node = BPF_CORE_READ(node, rb_right);
		else if (s->lookup_pc < BPF_CORE_READ(area, vm_start))
			node = BPF_CORE_READ(node, rb_left);
		else
			return area;
	}
	return 0;
}

/* Both objects are larger than this on every kernel, and what is asked of them lies in front. */
#define AREA_READ_SIZE 176
#define INODE_READ_SIZE 128

#define FIELD_OF_AREA(s, area, field) \
	field_u64(s, AREA_READ_SIZE, area, bpf_core_field_offset(struct vm_area_struct, field))

/* Finds the mapping of scratch->lookup_pc, of code or not: its area_*. Returns 0, or -1: none. */
__noinline int read_area(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return -1;
	struct mm_struct___with_maple_tree *with_maple_tree = (void *)s->mm;
	struct vm_area_struct *area;
	if (bpf_core_field_exists(with_maple_tree->mm_mt))
		area = area_in_maple_tree(walk, s);
	else
		area = area_in_rb_tree(s);
	if (!area || read_block(s, AREA_READ_SIZE, area))
		return -1;
	s->area_start = FIELD_OF_AREA(s, area, vm_start);
	s->area_end = FIELD_OF_AREA(s, area, vm_end);
	if (s->lookup_pc < s->area_start || s->lookup_pc >= s->area_end)
		return -1;
	s->area_flags = VM_EXEC; /* where nothing tells */
	if (bpf_core_field_exists(area->vm_flags))
		s->area_flags = FIELD_OF_AREA(s, area, vm_flags);
	s->area_page_offset = FIELD_OF_AREA(s, area, vm_pgoff);
	s->area_file = (struct file *)FIELD_OF_AREA(s, area, vm_file);
	s->area = area;
	return 0;
}

#define FIELD_OF_INODE(s, inode, type, field) \
	field_u64(s, INODE_READ_SIZE, inode, bpf_core_field_offset(type, field))

static __always_inline u64 inode_mtime_ns(const struct scratch *s, const struct inode *inode)
{
	const struct inode___with_integers *integers = (void *)inode;
	const struct inode___with_private_timespec *private = (void *)inode;

	if (bpf_core_field_exists(integers->i_mtime_sec))
		return FIELD_OF_INODE(s, inode, struct inode___with_integers, i_mtime_sec) *
			       1000000000ULL +
		       field_u32(s, INODE_READ_SIZE, inode,
				 bpf_core_field_offset(struct inode___with_integers, i_mtime_nsec));
	if (bpf_core_field_exists(private->__i_mtime))
		return FIELD_OF_INODE(s, inode, struct inode___with_private_timespec,
				      __i_mtime.tv_sec) * 1000000000ULL +
		       FIELD_OF_INODE(s, inode, struct inode___with_private_timespec,
				      __i_mtime.tv_nsec);
	return FIELD_OF_INODE(s, inode, struct inode___with_timespec, i_mtime.tv_sec) *
		       1000000000ULL +
	       FIELD_OF_INODE(s, inode, struct inode___with_timespec, i_mtime.tv_nsec);
}

/* Fills scratch->key with the identity of a file. Returns 0 or -1. */
static __always_inline int identify_file(struct scratch *s, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	if (read_block(s, INODE_READ_SIZE, inode))
		return -1;
	struct super_block *super = (void *)FIELD_OF_INODE(s, inode, struct inode, i_sb);
	s->key.inode = FIELD_OF_INODE(s, inode, struct inode, i_ino);
	s->key.size = FIELD_OF_INODE(s, inode, struct inode, i_size);
	s->key.mtime_ns = inode_mtime_ns(s, inode);
	s->key.device = BPF_CORE_READ(super, s_dev);
	return 0;
}

/* Gives the file in scratch->key a slot and asks the daemon for its tables. */
static __always_inline struct binary_entry *add_binary(u32 walk, struct scratch *s, u64 offset)
{
	struct binary_entry entry = {};

	entry.slot = SLOT_FIRST_KERNEL_MADE + walk + (u32)s->new_binaries * walk_count;
	if (entry.slot >= SLOT_LIMIT)
		return 0;
	if (bpf_map_update_elem(&binaries, &s->key, &entry, BPF_NOEXIST) == 0)
		s->new_binaries++;
	/* else: another CPU was faster, or the table is full */
	return bpf_map_lookup_elem(&binaries, &s->key);
}

static __always_inline void send_notice(u32 walk, struct scratch *s, struct binary_entry *entry,
					u64 offset)
{
	s->notice.header.version = WIRE_VERSION;
	s->notice.header.kind = RECORD_NEW_BINARY;
	s->notice.header.size = sizeof(s->notice);
	s->notice.header.time = s->sample.header.time;
	s->notice.key = s->key;
	s->notice.mapping_start = s->area_start;
	s->notice.mapping_end = s->area_end;
	s->notice.mapping_offset = offset;
	s->notice.slot = entry->slot;
	s->notice.pid = s->sample.pid;
	if (bpf_ringbuf_output(&ring, &s->notice, sizeof(s->notice), BPF_RB_FORCE_WAKEUP) == 0)
		entry->noticed = 1;
	else
		count(walk, COUNTER_NOTICES_LOST, 1);
}

/* Fills mapping `m` from scratch->area_*. Returns 0 or the negative enum stack_end. */
static __always_inline int describe_mapping(u32 walk, struct scratch *s, struct cached_mapping *m)
{
	u64 offset = s->area_page_offset << page_shift;

	__builtin_memset(&s->key, 0, sizeof(s->key));
	if (s->area_file) {
		if (identify_file(s, s->area_file) < 0)
			return -STACK_END_NO_MAPPING;
	} else if (s->area_start != mm_vdso(s->mm)) {
		m->in_file = 0;
		m->has_tables = 0;
		return 0;
	} else {
		offset = 0; /* the vDSO image; its pgoff is an address */
		s->key.inode = s->is_compat ? VDSO_32_INODE : 0;
	}

	struct binary_entry *entry = bpf_map_lookup_elem(&binaries, &s->key);
	if (!entry)
		entry = add_binary(walk, s, offset);
	if (!entry) {
		count(walk, COUNTER_BINARIES_FULL, 1);
		return -STACK_END_BINARY_LIMIT;
	}
	if (!entry->noticed)
		send_notice(walk, s, entry, offset);
	m->in_file = 1;
	m->binary = *entry;
	m->to_frame = FRAME_WORD_FILE(entry->slot, 0) + offset - s->area_start;
	m->has_tables = entry->state == BINARY_READY &&
			offset + (s->area_end - s->area_start) <= FRAME_OFFSET_MASK;
	return 0;
}

/* x86-64: a page at the same address in every process, which no area tells. Programs of before 2011 call it for the
 * time (arch/x86/entry/vsyscall/vsyscall_64.c). */
static __always_inline bool is_vsyscall(u64 address)
{
#if defined(__TARGET_ARCH_x86)
	return address >> 12 == VSYSCALL_ADDRESS >> 12;
#else
	return false;
#endif
}

/* Index of the cached mapping that holds scratch->lookup_pc, or -1: none does. */
__noinline int find_cached_mapping(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return -1;
	u64 address = s->lookup_pc;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < MAPPING_CACHE_SIZE; i++) {
		if (address - s->mappings[i].start < s->mappings[i].length) {
			s->known.last_mapping = i;
			return i;
		}
	}
	return -1;
}

/* Does what the first bytes of the area tell, in scratch->block, say that it is the mapping it was? */
static __always_inline bool is_same_area(const struct scratch *s, const struct cached_mapping *m,
					 const struct mapping_proof *proof)
{
	const struct vm_area_struct *area = proof->area;
	const struct vm_area_struct___with_references *counted = (void *)area;
	const struct vm_area_struct___with_flag *flagged = (void *)area;

	if (bpf_core_field_exists(counted->vm_refcnt)) {
		if (!field_u32(s, AREA_READ_SIZE, area,
			       bpf_core_field_offset(struct vm_area_struct___with_references, vm_refcnt)))
			return false;
	} else if (bpf_core_field_exists(flagged->detached)) {
		u32 at = bpf_core_field_offset(struct vm_area_struct___with_flag, detached);
		if (field_u32(s, AREA_READ_SIZE, area, at & ~3U) >> (at & 3) * 8 & 0xff)
			return false;
	} else {
		return false;
	}
	return FIELD_OF_AREA(s, area, vm_start) == m->start &&
	       FIELD_OF_AREA(s, area, vm_end) == m->start + proof->length &&
	       FIELD_OF_AREA(s, area, vm_mm) == (u64)s->mm &&
	       FIELD_OF_AREA(s, area, vm_pgoff) == proof->page_offset &&
	       FIELD_OF_AREA(s, area, vm_file) == (u64)proof->file &&
	       (!bpf_core_field_exists(area->vm_flags) || FIELD_OF_AREA(s, area, vm_flags) & VM_EXEC);
}

/* Is the file of that mapping the one it was? */
static __always_inline bool is_same_file(const struct scratch *s, const struct mapping_proof *proof)
{
	struct inode *inode = proof->inode;

	return FIELD_OF_INODE(s, inode, struct inode, i_sb) == (u64)proof->super &&
	       FIELD_OF_INODE(s, inode, struct inode, i_ino) == proof->key.inode &&
	       FIELD_OF_INODE(s, inode, struct inode, i_size) == proof->key.size &&
	       inode_mtime_ns(s, inode) == proof->key.mtime_ns;
}

/*
 * Index of a mapping that was cached before the process's mappings changed and still is what it was, cached again;
 * or -1. Most changes are of other mappings. Down the tree and on to the file each read waits for the one before
 * it; here all addresses are known. An area that is in the tree of this process and holds the address is the one
 * that would be found there; one that was freed has lost its start.
 */
__noinline int prove_mapping(u32 walk)
{
	struct scratch *s = scratch_of(walk);
	u32 i;

	if (!s)
		return -1;
	u64 address = s->lookup_pc;
#pragma clang loop unroll(disable)
	for (i = 0; i < MAPPING_CACHE_SIZE; i++)
		if (address - s->mappings[i].start < s->proofs[i].length)
			break;
	if (i >= MAPPING_CACHE_SIZE) {
		/* Another mapping will be found and take this place. */
		s->proofs[s->known.next_mapping & (MAPPING_CACHE_SIZE - 1)].length = 0;
		return -1;
	}
	struct cached_mapping *m = &s->mappings[i];
	struct mapping_proof *proof = &s->proofs[i];
	bool proven = read_block(s, AREA_READ_SIZE, proof->area) == 0 && is_same_area(s, m, proof);
	struct file *file = proof->file;
	if (proven && file)
		proven = BPF_CORE_READ(file, f_inode) == proof->inode &&
			 read_block(s, INODE_READ_SIZE, proof->inode) == 0 && is_same_file(s, proof);
	if (proven)
		m->length = proof->length;
	proof->length = 0;
	if (!proven) {
		s->known.next_mapping = i; /* what is found instead takes its place */
		return -1;
	}
	s->known.last_mapping = i;
	return i;
}

/* Makes the mapping that was just described, at the next place, one that is cached, with what told of it. Returns its
 * index. A function of its own: find_mapping() has no room on the stack. */
__noinline int keep_mapping(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return -STACK_END_NO_MAPPING;
	u32 next = s->known.next_mapping & (MAPPING_CACHE_SIZE - 1);
	struct cached_mapping *m = &s->mappings[next];
	struct mapping_proof *proof = &s->proofs[next];
	struct file *file = s->area_file;
	proof->page_offset = s->area_page_offset;
	proof->area = s->area;
	proof->file = file;
	proof->inode = 0;
	if (file) {
		struct inode *inode = BPF_CORE_READ(file, f_inode);
		proof->inode = inode;
		proof->super = (void *)FIELD_OF_INODE(s, inode, struct inode, i_sb); /* the block still holds it */
	}
	proof->key = s->key;
	m->start = s->area_start;
	m->length = s->area_end - s->area_start;
	s->known.next_mapping = next + 1;
	if (next >= s->known.mapping_count)
		s->known.mapping_count = next + 1;
	s->known.last_mapping = next;
	return next;
}

/* Index of the mapping that holds scratch->lookup_pc, cached now, or the negative enum stack_end. */
__noinline int find_mapping(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return -STACK_END_NO_MAPPING;
	int cached = find_cached_mapping(walk);
	if (cached < 0)
		cached = prove_mapping(walk);
	if (cached >= 0)
		return cached;
	if (is_vsyscall(s->lookup_pc)) {
		s->area_start = VSYSCALL_ADDRESS;
		s->area_end = VSYSCALL_ADDRESS + VSYSCALL_SIZE;
		s->area_file = 0;
		s->area = 0;
	} else if (read_area(walk) < 0 || !(s->area_flags & VM_EXEC)) {
		return -STACK_END_NO_MAPPING;
	}
	struct cached_mapping *m = &s->mappings[s->known.next_mapping & (MAPPING_CACHE_SIZE - 1)];
	m->length = 0;
	int r = describe_mapping(walk, s, m);
	if (r < 0)
		return r;
	return keep_mapping(walk);
}

/* Is it the process in the scratch, in the program that this runs? An exec may give it the memory of a mm_struct that it
 * had before, with mappings that changed as often. */
static __always_inline bool is_known(const struct known_process *known, const struct scratch *s)
{
	return known->mappings_mm == s->mm && known->mappings_start_time == s->sample.process_start &&
	       known->mappings_exec_id == s->sample.exec_id;
}

/* Copies the mappings of a known process, and what told of them. */
static __always_inline void copy_mappings(u32 count, struct cached_mapping *to, const struct cached_mapping *from,
					  struct mapping_proof *to_proofs, const struct mapping_proof *from_proofs)
{
	/* It is MAPPING_CACHE_SIZE at most. The verifiers of 5.10 and 6.1 lose a comparison's bound where the number is
	 * copied; what this one admits is still inside the scratch. */
	count &= 2 * MAPPING_CACHE_SIZE - 1;
	bpf_probe_read_kernel(to, count * sizeof(*to), from);
	bpf_probe_read_kernel(to_proofs, count * sizeof(*to_proofs), from_proofs);
}

/*
 * Another process runs than at the last sample of this CPU. What is known of that one goes to its place among those
 * kept; what is known of this one, if it is one of them, comes from there. Programs that take turns would otherwise have
 * their mappings searched for at every sample. No place from mapping_count on may keep a mapping of the other one: a sample
 * that is refused after this makes no walk, which would empty them.
 */
__noinline int switch_process(u32 walk)
{
	struct scratch *s = scratch_of(walk);
	u32 i;

	if (!s)
		return 0;
	struct kept_process *kept = &s->kept[s->kept_at & (KEPT_PROCESSES - 1)];
	u32 used = s->known.mapping_count;
	kept->known = s->known;
	copy_mappings(used, kept->mappings, s->mappings, kept->proofs, s->proofs);
#pragma clang loop unroll(disable)
	for (i = 0; i < KEPT_PROCESSES; i++)
		if (is_known(&s->kept[i].known, s))
			break;
	u32 count = 0;
	if (i < KEPT_PROCESSES) {
		kept = &s->kept[i];
		s->kept_at = i;
		s->known = kept->known;
		count = s->known.mapping_count;
		copy_mappings(count, s->mappings, kept->mappings, s->proofs, kept->proofs);
	} else {
		s->kept_at++;
		s->known.mappings_mm = s->mm;
		s->known.mappings_start_time = s->sample.process_start;
		s->known.mappings_exec_id = s->sample.exec_id;
		s->known.mappings_pid = 0; /* of it there are no mappings */
		s->known.next_mapping = s->known.mapping_count = 0;
	}
#pragma clang loop unroll(disable)
	for (i = 0; i < MAPPING_CACHE_SIZE; i++)
		if (i >= count && i < used)
			s->mappings[i].length = s->proofs[i].length = 0;
	return 0;
}

/* Makes what is known of the process in the scratch what is used, where mappings may be kept at all. */
static __always_inline void know_process(const struct scratch *s, u32 walk)
{
	if (s->sequence && !is_known(&s->known, s))
		switch_process(walk);
}

/* Keeps the mappings that are known of the process (see know_process()) only if the kernel says that they cannot have
 * changed; tables that became ready count as a change. Those that may have changed are to be proven. */
static __always_inline void revalidate_mappings(struct scratch *s)
{
	u64 sequence = s->sequence;
	bool same = sequence != 0 && s->known.mappings_pid == s->sample.pid && s->known.mappings_epoch == binaries_epoch;

	if (same && sequence == s->known.mappings_sequence)
		return;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < MAPPING_CACHE_SIZE; i++) {
		if (!same || s->mappings[i].length)
			s->proofs[i].length = same ? s->mappings[i].length : 0;
		s->mappings[i].length = 0;
	}
	s->known.mappings_sequence = sequence;
	s->known.mappings_pid = s->sample.pid;
	s->known.mappings_epoch = binaries_epoch;
	s->known.last_mapping = 0;
}
