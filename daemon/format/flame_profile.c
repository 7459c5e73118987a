/* SPDX-License-Identifier: Apache-2.0 */
/* See flame_profile.h. */
#include "format/flame_profile.h"

#include "format/flame_page.h"

#include <errno.h>

/* What a page borrows while it is written. */
struct page_parts {
	ARRAY(struct flame_view) views;
	ARRAY(struct call_tree *) trees;
	ARRAY(const char *) comments;
};

static void page_parts_release(struct page_parts *parts)
{
	for (size_t i = 0; i < parts->trees.count; i++)
		call_tree_free(parts->trees.items[i]);
	array_free(&parts->trees);
	array_free(&parts->views);
	array_free(&parts->comments);
}
#define _cleanup_page_parts_ _cleanup_(page_parts_release)

/* Takes the tree over, also when it fails. */
static int add_view(struct page_parts *parts, const struct profile *profile, size_t value,
		    struct call_tree *tree)
{
	const struct profile_value_type *type = &profile->sample_types.items[value];
	if (array_add(&parts->trees, tree) < 0) {
		call_tree_free(tree);
		return -ENOMEM;
	}
	return array_add(&parts->views, (struct flame_view){
						.type = profile_text(profile, type->type),
						.unit = profile_text(profile, type->unit),
						.tree = tree,
					});
}

static int add_comments(struct page_parts *parts, const struct profile *profile)
{
	for (size_t i = 0; i < profile->comments.count; i++) {
		const char *comment = profile_text(profile, profile->comments.items[i]);
		if (array_add(&parts->comments, comment) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int write_page(const struct page_parts *parts, struct flame_page *page, struct text *out)
{
	page->views = parts->views.items;
	page->view_count = parts->views.count;
	page->comments = parts->comments.items;
	page->comment_count = parts->comments.count;
	return flame_page_write(page, out);
}

int flame_profile_write(const struct profile *profile, size_t value, const char *title,
			struct text *out)
{
	_cleanup_page_parts_ struct page_parts parts = {0};
	int r = add_comments(&parts, profile);
	for (size_t i = 0; r == 0 && i < profile->sample_types.count; i++) {
		struct call_tree *tree = NULL;
		r = call_tree_new(profile, i, &tree);
		if (r == 0)
			r = add_view(&parts, profile, i, tree);
	}
	if (r < 0)
		return r;
	struct flame_page page = {
		.title = title,
		.time_ns = profile->time_ns,
		.duration_ns = profile->duration_ns,
		.first_view = value,
		.group_levels = profile->group_levels,
	};
	return write_page(&parts, &page, out);
}

int flame_profile_write_data(const struct profile *profile, size_t value, const char *title,
			     struct text *out)
{
	_cleanup_page_parts_ struct page_parts parts = {0};
	struct call_tree *tree = NULL;
	int r = call_tree_new(profile, value, &tree);
	if (r == 0)
		r = add_view(&parts, profile, value, tree);
	if (r < 0)
		return r;
	struct flame_page page = {
		.title = title,
		.time_ns = profile->time_ns,
		.duration_ns = profile->duration_ns,
		.views = parts.views.items,
		.view_count = parts.views.count,
	};
	return flame_page_write_data(&page, out);
}

int flame_difference_write(const struct flame_side *a, const struct flame_side *b,
			   struct text *out)
{
	_cleanup_page_parts_ struct page_parts parts = {0};
	struct call_tree *tree = NULL;
	int r = call_tree_new_pair(a->profile, a->value, b->profile, b->value, &tree);
	if (r == 0)
		r = add_view(&parts, a->profile, a->value, tree);
	if (r < 0)
		return r;
	struct flame_page page = {.is_diff = true, .name_a = a->name, .name_b = b->name};
	return write_page(&parts, &page, out);
}
