/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See flame_columns.h. The tree is walked once in preorder without recursion: stacks are as deep as
 * whoever wrote the profile wanted.
 */
#include "format/flame_columns.h"

#include <errno.h>

/* Integers of one column, then their base64. */
struct column {
	ARRAY(uint8_t) bytes;
	uint64_t zeros; /* since the last value */
	bool failed;
};

struct columns {
	const struct call_tree *tree;
	struct hash frame_of_key; /* name, type, inlined -> frame */
	ARRAY(uint32_t) frames;	  /* frame -> a node that has it */
	struct column frame, up, self, self_b;
};

static void columns_free(struct columns *c)
{
	hash_free(&c->frame_of_key);
	array_free(&c->frames);
	array_free(&c->frame.bytes);
	array_free(&c->up.bytes);
	array_free(&c->self.bytes);
	array_free(&c->self_b.bytes);
}

static void column_add(struct column *column, uint64_t value)
{
	do {
		uint8_t more = value >= 0x80 ? 0x80 : 0;
		if (array_add(&column->bytes, (uint8_t)((value & 0x7f) | more)) < 0)
			column->failed = true;
		value >>= 7;
	} while (value);
}

static void column_add_sparse(struct column *column, uint64_t value)
{
	if (!value) {
		column->zeros++;
		return;
	}
	column_add(column, column->zeros);
	column_add(column, value);
	column->zeros = 0;
}

static void column_add_signed(struct column *column, int64_t value)
{
	column_add_sparse(column, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void column_write(const struct column *column, const char *name, struct text *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	text_add(out, ",\"%s\":\"", name);
	size_t count = column->bytes.count;
	for (size_t i = 0; i < count; i += 3) {
		const uint8_t *p = column->bytes.items + i;
		size_t left = count - i;
		uint32_t group = (uint32_t)p[0] << 16 | (left > 1 ? (uint32_t)p[1] << 8 : 0) |
				 (left > 2 ? p[2] : 0);
		char quad[4] = {digits[group >> 18], digits[group >> 12 & 63],
				left > 1 ? digits[group >> 6 & 63] : '=',
				left > 2 ? digits[group & 63] : '='};
		text_add_bytes(out, quad, sizeof(quad));
	}
	text_add_char(out, '"');
}

static int frame_of(struct columns *c, uint32_t index, uint32_t *ret_frame)
{
	const struct call_node *node = &c->tree->nodes.items[index];
	uint64_t key = (uint64_t)node->name << 16 | (uint64_t)node->type << 1 | node->is_inlined;
	uint64_t *known = hash_get(&c->frame_of_key, key);
	if (known) {
		*ret_frame = (uint32_t)*known;
		return 0;
	}
	uint32_t frame = (uint32_t)c->frames.count;
	if (array_add(&c->frames, index) < 0 || hash_put(&c->frame_of_key, key, frame) < 0)
		return -ENOMEM;
	*ret_frame = frame;
	return 0;
}

/* The node after `index` in preorder, or CALL_TREE_NONE; *ret_up levels above a child of `index`. */
static uint32_t next_in_preorder(const struct call_tree *tree, uint32_t index, uint32_t *ret_up)
{
	const struct call_node *node = &tree->nodes.items[index];
	*ret_up = 0;
	if (node->first_child != CALL_TREE_NONE)
		return node->first_child;
	for (uint32_t up = 1; index != CALL_TREE_NONE; up++, index = node->parent) {
		node = &tree->nodes.items[index];
		if (node->next_sibling != CALL_TREE_NONE) {
			*ret_up = up;
			return node->next_sibling;
		}
	}
	return CALL_TREE_NONE;
}

static int columns_fill(struct columns *c)
{
	uint32_t up = 0;
	for (uint32_t i = CALL_TREE_ROOT; i != CALL_TREE_NONE;
	     i = next_in_preorder(c->tree, i, &up)) {
		const struct call_node *node = &c->tree->nodes.items[i];
		uint32_t frame;
		if (frame_of(c, i, &frame) < 0)
			return -ENOMEM;
		column_add(&c->frame, frame);
		column_add_sparse(&c->up, up);
		column_add_signed(&c->self, node->self);
		column_add_signed(&c->self_b, node->self_b);
	}
	bool failed = c->frame.failed || c->up.failed || c->self.failed || c->self_b.failed;
	return failed ? -ENOMEM : 0;
}

static void frames_write(const struct columns *c, struct text *out)
{
	text_add_string(out, "\"frames\":[");
	for (size_t i = 0; i < c->frames.count; i++) {
		text_add_string(out, i ? ",\"" : "\"");
		text_add_json(out, call_tree_name(c->tree, c->frames.items[i]));
		text_add_char(out, '"');
	}
	/* One letter a frame: 'a' + 2 * enum frame_type + is_inlined. */
	text_add_string(out, "],\"kinds\":\"");
	for (size_t i = 0; i < c->frames.count; i++) {
		const struct call_node *node = &c->tree->nodes.items[c->frames.items[i]];
		uint8_t type = node->type < FRAME_TYPE_MAX ? node->type : FRAME_TYPE_NATIVE;
		text_add_char(out, (char)('a' + 2 * type + node->is_inlined));
	}
	text_add_char(out, '"');
}

int flame_columns_write(const struct call_tree *tree, bool is_pair, struct text *out)
{
	_cleanup_(columns_free) struct columns c = {.tree = tree};
	if (columns_fill(&c) < 0)
		return -ENOMEM;
	frames_write(&c, out);
	column_write(&c.frame, "frame", out);
	column_write(&c.up, "up", out);
	column_write(&c.self, "self", out);
	if (is_pair)
		column_write(&c.self_b, "self_b", out);
	return out->failed ? -ENOMEM : 0;
}
