/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples of one profile, or of two side by side, as one tree of frames from the root: what a
 * flame graph draws and what `report --tree` prints. Two frames are one node when they have the same
 * parent, name, type and inlined flag; inlined functions are nodes of their own below the function
 * they were inlined into.
 *
 * Nodes are kept in an array, parents always before their children. Node 0 is the root, "all".
 */
#pragma once

#include "profile/profile.h"

#define CALL_TREE_ROOT 0u
#define CALL_TREE_NONE UINT32_MAX

struct call_node {
	uint32_t name;	       /* call_tree_name() */
	uint32_t parent;       /* CALL_TREE_NONE for the root */
	uint32_t first_child;  /* or CALL_TREE_NONE */
	uint32_t next_sibling; /* or CALL_TREE_NONE */
	uint8_t type;	       /* enum frame_type */
	bool is_inlined;
	int64_t self, total;	 /* profile A, in its own unit */
	int64_t self_b, total_b; /* profile B, not normalised; 0 in a tree of one profile */
};

struct call_tree {
	struct strings names;
	ARRAY(struct call_node) nodes;
};

/* Order of siblings. */
enum call_tree_order {
	CALL_TREE_BY_NAME,  /* as flame graphs are drawn */
	CALL_TREE_BY_TOTAL, /* largest total + total_b first, whatever its sign */
};

/* Builds the tree of the values of sample type `value`, siblings by name. Returns 0, -EINVAL when the
 * profile has no such sample type, or -ENOMEM. The caller frees. */
int call_tree_new(const struct profile *profile, size_t value, struct call_tree **ret);

/* The same with B's samples in self_b and total_b. Normalise by the roots' total and total_b. */
int call_tree_new_pair(const struct profile *a, size_t value_a, const struct profile *b,
		       size_t value_b, struct call_tree **ret);

/* Accepts NULL. Returns NULL. */
struct call_tree *call_tree_free(struct call_tree *tree);

static inline void call_tree_free_cleanup(struct call_tree **tree)
{
	call_tree_free(*tree);
}
#define _cleanup_call_tree_ _cleanup_(call_tree_free_cleanup)

/* Relinks all siblings in the order. Returns 0 or -ENOMEM. */
int call_tree_sort(struct call_tree *tree, enum call_tree_order order);

/* The next node in drawing order that is not below `node`, or CALL_TREE_NONE. */
static inline uint32_t call_tree_skip(const struct call_tree *tree, uint32_t node)
{
	for (; node != CALL_TREE_NONE; node = tree->nodes.items[node].parent)
		if (tree->nodes.items[node].next_sibling != CALL_TREE_NONE)
			return tree->nodes.items[node].next_sibling;
	return CALL_TREE_NONE;
}

/*
 * The next node in drawing order: children, then siblings. Coming from `before`, the nodes left are
 * those from `before` up to, not including, the new node's parent:
 *
 *	uint32_t before = CALL_TREE_ROOT, node = call_tree_next(tree, CALL_TREE_ROOT);
 *	for (; node != CALL_TREE_NONE; before = node, node = call_tree_next(tree, node)) {
 *		for (; before != tree->nodes.items[node].parent;
 *		     before = tree->nodes.items[before].parent)
 *			leave(before);
 *		enter(node);
 *	}
 */
static inline uint32_t call_tree_next(const struct call_tree *tree, uint32_t node)
{
	uint32_t child = tree->nodes.items[node].first_child;
	return child != CALL_TREE_NONE ? child : call_tree_skip(tree, node);
}

/* The next node in drawing order that is at most `levels` below the root, or CALL_TREE_NONE; *depth, how far below the
 * root `node` is, goes with it. */
static inline uint32_t call_tree_next_within(const struct call_tree *tree, uint32_t node, unsigned levels, unsigned *depth)
{
	const struct call_node *nodes = tree->nodes.items;
	if (*depth < levels && nodes[node].first_child != CALL_TREE_NONE) {
		++*depth;
		return nodes[node].first_child;
	}
	while (node != CALL_TREE_NONE && nodes[node].next_sibling == CALL_TREE_NONE) {
		node = nodes[node].parent;
		--*depth;
	}
	return node == CALL_TREE_NONE ? node : nodes[node].next_sibling;
}

static inline const char *call_tree_name(const struct call_tree *tree, uint32_t node)
{
	return strings_get(&tree->names, tree->nodes.items[node].name);
}
