/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call tree as the flame graph's page reads it: a JSON object of a table of distinct frames, and of
 * the nodes in preorder as columns of LEB128 integers in base64:
 *
 *	frame	index into the table
 *	up	how many levels above the node before it (its parent's depth counts) the node hangs:
 *		0 is a child of the node before, 1 a sibling, …
 *	self	the node's own value, zigzag-coded; totals are the reader's sums
 *	self_b	the same of profile B, in a tree of a pair
 *
 * All but `frame` are mostly zeros, and are written as pairs: how many zeros come first, then a value
 * that is none. Zeros at the end are left out.
 * Preorder makes every subtree one run of nodes; columns of like numbers stay short.
 */
#pragma once

#include "base/text.h"
#include "profile/call_tree.h"

/* Appends the members of the object, without braces: "frames":[…],"kinds":"…",… Returns 0 or
 * -ENOMEM. */
int flame_columns_write(const struct call_tree *tree, bool is_pair, struct text *out);
