/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes folded stacks from the call tree, which has summed and ordered them already. The line of a
 * node is its parent's line with one name more, so one buffer is cut back and extended on the way.
 */
#include "format/folded.h"

#include "profile/call_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *suffix_of(const struct call_node *node)
{
	if (node->is_inlined)
		return "_[i]";
	if (node->type == FRAME_TYPE_KERNEL)
		return "_[k]";
	return node->type == FRAME_TYPE_JIT ? "_[j]" : "";
}

static void add_frame(struct text *line, const struct call_tree *tree, uint32_t index)
{
	const char *name = call_tree_name(tree, index);
	if (line->length)
		text_add_char(line, ';');
	size_t start = line->length;
	text_add_utf8(line, name, strlen(name));
	for (size_t i = start; i < line->length; i++) {
		unsigned char c = (unsigned char)line->bytes[i];
		if (c == ';')
			line->bytes[i] = ':';
		else if (c < ' ' || c == 0x7f)
			line->bytes[i] = '?';
	}
	text_add_string(line, suffix_of(&tree->nodes.items[index]));
}

static void add_value(struct text *out, int64_t value)
{
	text_add(out, " %" PRId64 "\n", value);
}

static int write_tree(const struct call_tree *tree, struct text *line, struct text *out)
{
	ARRAY(size_t) lengths = {0}; /* of the line at each depth */
	size_t depth = 0;
	int r = 0;
	uint32_t before = CALL_TREE_ROOT, node = call_tree_next(tree, CALL_TREE_ROOT);
	for (; r == 0 && node != CALL_TREE_NONE;
	     before = node, node = call_tree_next(tree, node)) {
		const struct call_node *entry = &tree->nodes.items[node];
		for (; before != entry->parent; before = tree->nodes.items[before].parent)
			depth--;
		line->length = depth ? lengths.items[depth - 1] : 0;
		lengths.count = depth;
		add_frame(line, tree, node);
		r = array_add(&lengths, line->length);
		if (MAX_OF(line->length, out->length) > FOLDED_SIZE_LIMIT)
			r = -EFBIG;
		depth++;
		if (!entry->self)
			continue;
		text_add_bytes(out, line->bytes, line->length);
		add_value(out, entry->self);
	}
	array_free(&lengths);
	return r;
}

int folded_encode(const struct profile *profile, struct text *out)
{
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	struct text line = {0};
	int r = call_tree_new(profile, profile_default_value(profile), &tree);
	if (r < 0)
		return r;
	int64_t without_frames = tree->nodes.items[CALL_TREE_ROOT].self;
	if (without_frames) {
		text_add_string(out, FOLDED_NO_STACK);
		add_value(out, without_frames);
	}
	r = write_tree(tree, &line, out);
	bool failed = line.failed || out->failed;
	text_free(&line);
	return failed ? -ENOMEM : r;
}
