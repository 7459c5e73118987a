/* SPDX-License-Identifier: Apache-2.0 */
/* See folded.h. The call tree's nodes are the distinct stacks; the path to the node at hand is kept as
 * text that grows on the way down and is cut on the way up. */
#include "format/folded.h"

#include "profile/call_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct path {
	struct text text;
	ARRAY(size_t) lengths; /* of the text above each frame of the path */
};

static void path_release(struct path *path)
{
	text_free(&path->text);
	array_free(&path->lengths);
}

static int path_push(struct path *path, const char *name)
{
	if (array_add(&path->lengths, path->text.length) < 0)
		return -ENOMEM;
	if (path->text.length)
		text_add_char(&path->text, ';');
	size_t start = path->text.length;
	text_add_utf8(&path->text, name, strlen(name));
	for (size_t i = start; i < path->text.length; i++) {
		unsigned char byte = (unsigned char)path->text.bytes[i];
		if (byte < 0x20 || byte == 0x7f || byte == ';')
			path->text.bytes[i] = byte == ';' ? ':' : '?';
	}
	return path->text.failed ? -ENOMEM : 0;
}

static void path_pop(struct path *path)
{
	path->text.length = path->lengths.items[--path->lengths.count];
}

static void add_line(const struct path *path, int64_t value, struct text *out)
{
	text_add_bytes(out, path->text.bytes, path->text.length);
	text_add(out, " %" PRId64 "\n", value);
}

/* All nodes but the root, which stands for no frame. */
static int add_lines(const struct call_tree *tree, struct path *path, struct text *out)
{
	const struct call_node *nodes = tree->nodes.items;
	uint32_t node = nodes[CALL_TREE_ROOT].first_child;
	while (node != CALL_TREE_NONE) {
		if (path_push(path, call_tree_name(tree, node)) < 0)
			return -ENOMEM;
		if (nodes[node].self)
			add_line(path, nodes[node].self, out);
		if (nodes[node].first_child != CALL_TREE_NONE) {
			node = nodes[node].first_child;
			continue;
		}
		path_pop(path);
		while (nodes[node].next_sibling == CALL_TREE_NONE) {
			node = nodes[node].parent;
			if (node == CALL_TREE_ROOT)
				return 0;
			path_pop(path);
		}
		node = nodes[node].next_sibling;
	}
	return 0;
}

int folded_encode(const struct profile *profile, struct text *out)
{
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_(path_release) struct path path = {0};
	int r = call_tree_new(profile, profile_default_value(profile), &tree);
	if (r == 0)
		r = add_lines(tree, &path, out);
	return r == 0 && out->failed ? -ENOMEM : r;
}
