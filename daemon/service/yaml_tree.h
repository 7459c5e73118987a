/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML text as a tree that remembers lines and columns. Only what a configuration needs: one
 * document of mappings, sequences and scalars. Aliases and tags are refused, so a text of some
 * kilobytes cannot become gigabytes; depth and number of nodes are bounded.
 */
#pragma once

#include "base/array.h"

#define YAML_TREE_MAX_BYTES ((size_t)1 << 20)
#define YAML_TREE_MAX_DEPTH 16
#define YAML_TREE_MAX_NODES 16384
#define YAML_NONE UINT32_MAX

enum yaml_node_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
	enum yaml_node_kind kind;
	unsigned line, column; /* from 1 */
	char *text;	       /* of a scalar */
	bool quoted;	       /* a scalar that is text whatever it looks like */
	uint32_t first, next;  /* child, sibling; children of a mapping are key, value, key, … */
};

/* The root is node 0; an empty text has no node. Zero-initialise; free with yaml_tree_free(). */
struct yaml_tree {
	ARRAY(struct yaml_node) nodes;
};

struct yaml_failure {
	unsigned line, column;
	char text[320];
};

/* Returns 0, -EINVAL with *failure filled, or -ENOMEM. */
int yaml_tree_parse(const char *bytes, size_t size, struct yaml_tree *tree,
		    struct yaml_failure *failure);
void yaml_tree_free(struct yaml_tree *tree);

/* Is it a scalar that says nothing: "key:", "key: ~", "key: null"? */
bool yaml_is_null(const struct yaml_node *node);
