/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maple tree: lib/maple_tree.c. A node's pivots are the last address of each slot; a leaf's slot is a
 * mapping or, for a gap, null. Nodes are 256 bytes apart, which leaves the low bits of their addresses
 * for the type.
 */
#include "bpf/mapping.bpf.h"

#include "kernel_objects.h"

#define OBJECT_SIZE 512 /* of one mapping: area, file, inode and superblock, 128 bytes each */
#define NODE_SIZE 256
#define MM_SIZE 512
#define LEAF_AREAS 7 /* each with the gap before it: fifteen slots with the last gap */
#define INNER_SLOTS 10

struct maker {
	unsigned char *memory;
	u64 used;
	const struct replay_mapping *mappings;
};

static u64 address_of(const struct maker *m, const void *object)
{
	return REPLAY_KERNEL_BASE + (u64)((const unsigned char *)object - m->memory);
}

static void *allocate(struct maker *m, u64 size)
{
	void *object = m->memory + m->used;

	m->used += size;
	return object;
}

/* The flavour `type` of an object. */
#define FLAVOUR(type, object) \
	((type *)((unsigned char *)(object) + FLAVOUR_OFFSET((type *)0)))

static void make_file(struct maker *m, struct vm_area_struct *area, const struct binary_key *key)
{
	struct file *file = (struct file *)((unsigned char *)area + 128);
	struct inode *inode = (struct inode *)((unsigned char *)area + 256);
	struct super_block *super = (struct super_block *)((unsigned char *)area + 384);

	area->vm_file = (struct file *)address_of(m, file);
	file->f_inode = (struct inode *)address_of(m, inode);
	inode->i_sb = (struct super_block *)address_of(m, super);
	inode->i_ino = key->inode;
	inode->i_size = (s64)key->size;
	super->s_dev = key->device;
	FLAVOUR(struct inode___with_integers, inode)->i_mtime_sec = (s64)(key->mtime_ns / 1000000000);
	FLAVOUR(struct inode___with_integers, inode)->i_mtime_nsec = key->mtime_ns % 1000000000;
}

static void make_areas(struct maker *m, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		const struct replay_mapping *from = &m->mappings[i];
		struct vm_area_struct *area = allocate(m, OBJECT_SIZE);
		area->vm_mm = (struct mm_struct *)REPLAY_KERNEL_BASE; /* the first of the objects */
		FLAVOUR(struct vm_area_struct___with_references, area)->vm_refcnt.any = 1;
		area->vm_start = from->start;
		area->vm_end = from->end;
		area->vm_flags = from->executable ? VM_EXEC : 0;
		area->vm_pgoff = from->offset >> PAGE_SHIFT_MIN;
		if (from->has_file)
			make_file(m, area, &from->key);
	}
}

static struct vm_area_struct *area_at(const struct maker *m, u32 index)
{
	return (struct vm_area_struct *)(m->memory + MM_SIZE + (u64)index * OBJECT_SIZE);
}

/* Mappings [first, last) with the gaps before them; the last slot reaches `end`. */
static u64 make_leaf(struct maker *m, u32 first, u32 last, u64 begin, u64 end)
{
	struct maple_range_64 *leaf = allocate(m, NODE_SIZE);
	u32 slot = 0;

	for (u32 i = first; i < last; i++) {
		const struct replay_mapping *mapping = &m->mappings[i];
		if (mapping->start > begin)
			leaf->pivot[slot++] = mapping->start - 1;
		leaf->pivot[slot] = mapping->end - 1;
		leaf->slot[slot++] = (void *)address_of(m, area_at(m, i));
		begin = mapping->end;
	}
	if (slot < 15 && begin - 1 != end)
		leaf->pivot[slot] = end;
	return address_of(m, leaf) | MAPLE_LEAF_64 << 3 | 4;
}

/* Puts nodes that end at ends[] under parents until one is left. Returns it. */
static u64 make_inner(struct maker *m, u64 *nodes, u64 *ends, u32 count)
{
	while (count > 1) {
		u32 parents = 0;
		for (u32 i = 0; i < count; i += INNER_SLOTS) {
			struct maple_arange_64 *parent = allocate(m, NODE_SIZE);
			u32 slots = count - i < INNER_SLOTS ? count - i : INNER_SLOTS;
			for (u32 slot = 0; slot < slots; slot++) {
				parent->slot[slot] = (void *)nodes[i + slot];
				if (slot + 1 < INNER_SLOTS)
					parent->pivot[slot] = ends[i + slot];
			}
			parent->meta.end = (unsigned char)(slots - 1);
			ends[parents] = ends[i + slots - 1];
			nodes[parents++] = address_of(m, parent) | MAPLE_ARANGE_64 << 3 | 4;
		}
		count = parents;
	}
	return nodes[0];
}

static void make_maple_tree(struct maker *m, void *mm, u32 count)
{
	u32 leaves = (count + LEAF_AREAS - 1) / LEAF_AREAS;
	/* Behind the nodes: a scratch list of them. */
	u64 *nodes = (u64 *)(m->memory + m->used + (u64)(2 * leaves + 8) * NODE_SIZE);
	u64 *ends = nodes + leaves, begin = 0;

	for (u32 i = 0; i < leaves; i++) {
		u32 first = i * LEAF_AREAS;
		u32 last = first + LEAF_AREAS < count ? first + LEAF_AREAS : count;
		ends[i] = last < count ? m->mappings[last - 1].end - 1 : ~0ULL;
		nodes[i] = make_leaf(m, first, last, begin, ends[i]);
		begin = ends[i] + 1;
	}
	if (leaves)
		FLAVOUR(struct mm_struct___with_maple_tree, mm)->mm_mt.ma_root =
			(void *)((make_inner(m, nodes, ends, leaves) & ~4ULL) | 2);
	__builtin_memset(nodes, 0, 2ULL * leaves * sizeof(*nodes));
}

/* Balanced, which the walk does not look at: [first, last) under its middle. */
static struct rb_node *make_rb_tree(struct maker *m, u32 first, u32 last)
{
	if (first >= last)
		return 0;
	u32 middle = first + (last - first) / 2;
	struct vm_area_struct *area = area_at(m, middle);
	struct rb_node *node = &FLAVOUR(struct vm_area_struct___in_rb_tree, area)->vm_rb;
	node->rb_left = make_rb_tree(m, first, middle);
	node->rb_right = make_rb_tree(m, middle + 1, last);
	return (struct rb_node *)address_of(m, node);
}

u64 kernel_objects_size(u32 count)
{
	u64 leaves = count / LEAF_AREAS + 1;

	return MM_SIZE + count * (u64)OBJECT_SIZE + NODE_SIZE + (2 * leaves + 8) * NODE_SIZE +
	       2 * leaves * sizeof(u64);
}

void kernel_objects_make(struct replay_world *world, unsigned char *memory,
			 const struct replay_mapping *mappings, u32 count)
{
	struct maker m = {.memory = memory, .mappings = mappings};
	void *mm = allocate(&m, MM_SIZE);

	for (u32 i = 0; i < count; i++)
		if (mappings[i].is_vdso)
			FLAVOUR(struct mm_struct___with_context, mm)->context.vdso =
				(void *)mappings[i].start;
	FLAVOUR(struct mm_struct___with_lock_seqcount, mm)->mm_lock_seq.sequence = 2 + 2 * world->changes;
	make_areas(&m, count);
	m.used = (m.used + NODE_SIZE - 1) & ~(u64)(NODE_SIZE - 1);
	if (world->red_black_tree)
		FLAVOUR(struct mm_struct___with_rb_tree, mm)->mm_rb.rb_node =
			make_rb_tree(&m, 0, count);
	else
		make_maple_tree(&m, mm, count);
	world->kernel = memory;
	world->kernel_size = kernel_objects_size(count);
	world->mm = address_of(&m, mm);
}
