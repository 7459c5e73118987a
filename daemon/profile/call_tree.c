/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds call trees. A frame (name, type, inlined) is interned to a small number once per line of the
 * profile; the numbers are given in the order in which siblings are drawn. Each stack is written down as
 * such numbers, from the root, and the stacks are sorted: then a stack has in common with all those
 * before it what it has in common with its neighbour, so that the nodes come one after the other in the
 * order of drawing, and none has to be looked up.
 */
#include "profile/call_tree.h"

#include "base/arithmetic.h"

#include <errno.h>
#include <string.h>

#define FRAME_UNKNOWN UINT32_MAX

struct call_frame {
	uint32_t name;
	uint8_t type;
	bool is_inlined;
};

struct call_stack {
	size_t first; /* index into path_frames, from the root */
	size_t count;
	int64_t self, self_b;
};

/* What lives only while a tree is built. */
struct call_tree_builder {
	struct call_tree *tree;
	const struct profile *profile;
	ARRAY(struct call_frame) frames;
	struct hash frame_of_key;   /* name, type, inlined -> frame */
	uint32_t *frame_of_line;    /* per line of the profile, or FRAME_UNKNOWN */
	uint32_t *frame_of_address; /* per location without a line, or FRAME_UNKNOWN */
	ARRAY(uint32_t) path_frames; /* frames, or their ranks, of all stacks */
	ARRAY(struct call_stack) stacks;
	ARRAY(uint32_t) path; /* nodes of the stack that was added last, below the root */
};

static int frame_intern(struct call_tree_builder *builder, const char *name, uint8_t type,
			bool is_inlined, uint32_t *ret_frame)
{
	struct call_frame frame = {.type = type, .is_inlined = is_inlined};
	if (strings_add_text(&builder->tree->names, name, &frame.name) < 0)
		return -ENOMEM;
	uint64_t key = (uint64_t)frame.name << 16 | (uint64_t)type << 1 | is_inlined;
	uint64_t *known = hash_get(&builder->frame_of_key, key);
	if (known) {
		*ret_frame = (uint32_t)*known;
		return 0;
	}
	uint32_t index = (uint32_t)builder->frames.count;
	if (array_add(&builder->frames, frame) < 0 ||
	    hash_put(&builder->frame_of_key, key, index) < 0)
		return -ENOMEM;
	*ret_frame = index;
	return 0;
}

/* The frame of one line of a location; every line but the outermost was inlined into the next. */
static int frame_of(struct call_tree_builder *builder, uint32_t location_index, uint32_t line,
		    uint32_t *ret_frame)
{
	const struct profile_location *location =
		&builder->profile->locations.items[location_index];
	uint32_t *slot = location->line_count
				 ? &builder->frame_of_line[location->first_line + line]
				 : &builder->frame_of_address[location_index];
	if (*slot == FRAME_UNKNOWN) {
		char buffer[512];
		const char *name = profile_frame_name(builder->profile, location, line, buffer,
						      sizeof(buffer));
		if (frame_intern(builder, name, (uint8_t)location->type,
				 line + 1 < location->line_count, slot) < 0)
			return -ENOMEM;
	}
	*ret_frame = *slot;
	return 0;
}

/* Writes a stack down, from the root to its leaf. */
static int note_stack(struct call_tree_builder *builder, const struct profile_sample *sample,
		      struct call_stack stack)
{
	const struct profile *profile = builder->profile;
	stack.first = builder->path_frames.count;
	for (uint32_t i = sample->location_count; i-- > 0;) {
		uint32_t location = profile->stack_locations.items[sample->first_location + i];
		uint32_t lines = MAX_OF(profile->locations.items[location].line_count, 1u);
		for (uint32_t line = lines; line-- > 0;) {
			uint32_t frame;
			if (frame_of(builder, location, line, &frame) < 0 ||
			    array_add(&builder->path_frames, frame) < 0)
				return -ENOMEM;
		}
	}
	stack.count = builder->path_frames.count - stack.first;
	return array_add(&builder->stacks, stack);
}

static uint32_t *new_frame_slots(size_t count)
{
	uint32_t *slots = malloc((count + 1) * sizeof(*slots));
	if (slots)
		memset(slots, 0xff, (count + 1) * sizeof(*slots)); /* FRAME_UNKNOWN */
	return slots;
}

static int note_profile(struct call_tree_builder *builder, const struct profile *profile,
			size_t value, bool is_b)
{
	size_t types = profile->sample_types.count;
	if (value >= types)
		return -EINVAL;
	_cleanup_free_ uint32_t *of_line = new_frame_slots(profile->lines.count);
	_cleanup_free_ uint32_t *of_address = new_frame_slots(profile->locations.count);
	if (!of_line || !of_address)
		return -ENOMEM;
	builder->profile = profile;
	builder->frame_of_line = of_line;
	builder->frame_of_address = of_address;

	for (size_t i = 0; i < profile->samples.count; i++) {
		int64_t weight = profile->values.items[i * types + value];
		struct call_stack stack = {.self = is_b ? 0 : weight, .self_b = is_b ? weight : 0};
		if (weight != 0 && note_stack(builder, &profile->samples.items[i], stack) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- Order ------------------------------------------------------------------------------------ */

static int compare_frames(const void *left, const void *right, void *userdata)
{
	const struct call_tree_builder *builder = userdata;
	const struct call_frame *a = &builder->frames.items[*(const uint32_t *)left];
	const struct call_frame *b = &builder->frames.items[*(const uint32_t *)right];
	const struct strings *names = &builder->tree->names;
	int order = a->name == b->name
			    ? 0
			    : strcmp(strings_get(names, a->name), strings_get(names, b->name));
	if (order)
		return order;
	return a->type != b->type ? (int)a->type - (int)b->type : (int)a->is_inlined - (int)b->is_inlined;
}

static uint32_t *new_numbers(size_t count)
{
	uint32_t *numbers = malloc((count + 1) * sizeof(*numbers));
	for (size_t i = 0; numbers && i < count; i++)
		numbers[i] = (uint32_t)i;
	return numbers;
}

/* Makes path_frames the frames' ranks among siblings; ret_frames[rank] is the frame. */
static int rank_frames(struct call_tree_builder *builder, uint32_t **ret_frames)
{
	size_t count = builder->frames.count;
	_cleanup_free_ uint32_t *frames = new_numbers(count);
	_cleanup_free_ uint32_t *ranks = new_numbers(count);
	if (!frames || !ranks)
		return -ENOMEM;
	qsort_r(frames, count, sizeof(*frames), compare_frames, builder);
	for (size_t i = 0; i < count; i++)
		ranks[frames[i]] = (uint32_t)i;
	for (size_t i = 0; i < builder->path_frames.count; i++)
		builder->path_frames.items[i] = ranks[builder->path_frames.items[i]];
	*ret_frames = take_pointer(frames);
	return 0;
}

static size_t shared_depth(const struct call_tree_builder *builder, const struct call_stack *a,
			   const struct call_stack *b)
{
	const uint32_t *frames = builder->path_frames.items;
	size_t depth = 0, shorter = MIN_OF(a->count, b->count);
	while (depth < shorter && frames[a->first + depth] == frames[b->first + depth])
		depth++;
	return depth;
}

static int compare_stacks(const void *left, const void *right, void *userdata)
{
	const struct call_tree_builder *builder = userdata;
	const struct call_stack *a = &builder->stacks.items[*(const uint32_t *)left];
	const struct call_stack *b = &builder->stacks.items[*(const uint32_t *)right];
	const uint32_t *frames = builder->path_frames.items;
	size_t depth = shared_depth(builder, a, b);
	if (depth == a->count || depth == b->count)
		return (a->count > b->count) - (a->count < b->count);
	return frames[a->first + depth] < frames[b->first + depth] ? -1 : 1;
}

/* ---- Nodes ------------------------------------------------------------------------------------ */

static int node_add(struct call_tree *tree, uint32_t parent, struct call_frame frame)
{
	struct call_node node = {
		.name = frame.name,
		.parent = parent,
		.first_child = CALL_TREE_NONE,
		.next_sibling = CALL_TREE_NONE,
		.type = frame.type,
		.is_inlined = frame.is_inlined,
	};
	return tree->nodes.count >= CALL_TREE_NONE ? -ENOMEM : array_add(&tree->nodes, node);
}

/* Adds the nodes that the stack before it, `depth` frames of which are also its own, did not. */
static int add_stack(struct call_tree_builder *builder, const uint32_t *frames,
		     const struct call_stack *stack, size_t depth)
{
	struct call_tree *tree = builder->tree;
	uint32_t *link, leaf = depth ? builder->path.items[depth - 1] : CALL_TREE_ROOT;
	uint32_t sibling = depth < builder->path.count ? builder->path.items[depth] : CALL_TREE_NONE;
	builder->path.count = depth;
	for (; depth < stack->count; depth++) {
		uint32_t rank = builder->path_frames.items[stack->first + depth];
		uint32_t node = (uint32_t)tree->nodes.count;
		if (node_add(tree, leaf, builder->frames.items[frames[rank]]) < 0 ||
		    array_add(&builder->path, node) < 0)
			return -ENOMEM;
		link = sibling == CALL_TREE_NONE ? &tree->nodes.items[leaf].first_child
						 : &tree->nodes.items[sibling].next_sibling;
		*link = leaf = node;
		sibling = CALL_TREE_NONE;
	}
	struct call_node *node = &tree->nodes.items[leaf];
	node->self = add_saturating(node->self, stack->self);
	node->self_b = add_saturating(node->self_b, stack->self_b);
	return 0;
}

static int add_stacks(struct call_tree_builder *builder)
{
	size_t count = builder->stacks.count;
	_cleanup_free_ uint32_t *frames = NULL;
	_cleanup_free_ uint32_t *order = new_numbers(count);
	if (!order || rank_frames(builder, &frames) < 0)
		return -ENOMEM;
	qsort_r(order, count, sizeof(*order), compare_stacks, builder);
	const struct call_stack *before = NULL;
	for (size_t i = 0; i < count; i++) {
		const struct call_stack *stack = &builder->stacks.items[order[i]];
		size_t depth = before ? shared_depth(builder, before, stack) : 0;
		if (add_stack(builder, frames, stack, depth) < 0)
			return -ENOMEM;
		before = stack;
	}
	return 0;
}

/* Parents stand before their children, so one backward pass sums every subtree. */
static void sum_totals(struct call_tree *tree)
{
	for (size_t i = tree->nodes.count; i-- > 0;) {
		struct call_node *node = &tree->nodes.items[i];
		node->total = add_saturating(node->total, node->self);
		node->total_b = add_saturating(node->total_b, node->self_b);
		if (node->parent == CALL_TREE_NONE)
			continue;
		struct call_node *parent = &tree->nodes.items[node->parent];
		parent->total = add_saturating(parent->total, node->total);
		parent->total_b = add_saturating(parent->total_b, node->total_b);
	}
}

static void builder_release(struct call_tree_builder *builder)
{
	array_free(&builder->frames);
	array_free(&builder->path_frames);
	array_free(&builder->stacks);
	array_free(&builder->path);
	hash_free(&builder->frame_of_key);
}

static int build(struct call_tree_builder *builder, const struct profile *a, size_t value_a,
		 const struct profile *b, size_t value_b)
{
	struct call_frame all = {.type = FRAME_TYPE_MARK};
	if (strings_add_text(&builder->tree->names, "all", &all.name) < 0 ||
	    node_add(builder->tree, CALL_TREE_NONE, all) < 0)
		return -ENOMEM;
	int r = note_profile(builder, a, value_a, false);
	if (r == 0 && b)
		r = note_profile(builder, b, value_b, true);
	if (r == 0)
		r = add_stacks(builder);
	if (r == 0)
		sum_totals(builder->tree);
	return r;
}

int call_tree_new_pair(const struct profile *a, size_t value_a, const struct profile *b,
		       size_t value_b, struct call_tree **ret)
{
	_cleanup_call_tree_ struct call_tree *tree = calloc(1, sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	_cleanup_(builder_release) struct call_tree_builder builder = {.tree = tree};
	int r = build(&builder, a, value_a, b, value_b);
	if (r < 0)
		return r;
	*ret = take_pointer(tree);
	return 0;
}

int call_tree_new(const struct profile *profile, size_t value, struct call_tree **ret)
{
	return call_tree_new_pair(profile, value, NULL, 0, ret);
}

struct call_tree *call_tree_free(struct call_tree *tree)
{
	if (!tree)
		return NULL;
	strings_free(&tree->names);
	array_free(&tree->nodes);
	free(tree);
	return NULL;
}

struct sibling_order {
	const struct call_tree *tree;
	enum call_tree_order order;
};

static int compare_siblings(const void *left, const void *right, void *userdata)
{
	const struct sibling_order *by = userdata;
	uint32_t a_index = *(const uint32_t *)left, b_index = *(const uint32_t *)right;
	const struct call_node *a = &by->tree->nodes.items[a_index];
	const struct call_node *b = &by->tree->nodes.items[b_index];
	if (by->order == CALL_TREE_BY_TOTAL) {
		int64_t a_total = magnitude_of(add_saturating(a->total, a->total_b));
		int64_t b_total = magnitude_of(add_saturating(b->total, b->total_b));
		if (a_total != b_total)
			return a_total > b_total ? -1 : 1;
	}
	int names = a->name == b->name ? 0
				       : strcmp(call_tree_name(by->tree, a_index),
						call_tree_name(by->tree, b_index));
	if (names)
		return names;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	return (int)a->is_inlined - (int)b->is_inlined;
}

int call_tree_sort(struct call_tree *tree, enum call_tree_order order)
{
	struct sibling_order by = {.tree = tree, .order = order};
	_cleanup_free_ uint32_t *children = malloc((tree->nodes.count + 1) * sizeof(*children));
	if (!children)
		return -ENOMEM;
	for (size_t i = 0; i < tree->nodes.count; i++) {
		size_t count = 0;
		uint32_t child = tree->nodes.items[i].first_child;
		for (; child != CALL_TREE_NONE; child = tree->nodes.items[child].next_sibling)
			children[count++] = child;
		if (count < 2)
			continue;
		qsort_r(children, count, sizeof(*children), compare_siblings, &by);
		tree->nodes.items[i].first_child = children[0];
		for (size_t k = 0; k < count; k++)
			tree->nodes.items[children[k]].next_sibling =
				k + 1 < count ? children[k + 1] : CALL_TREE_NONE;
	}
	return 0;
}
