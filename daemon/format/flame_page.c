/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See flame_page.h. The page is a head and a tail made at build time by flame/embed.py, which also
 * computes the hashes of the policy; between them goes the data, as JSON that no HTML parser can
 * mistake for markup because text_add_json() escapes every '<'.
 */
#include "format/flame_page.h"

#include "format/flame_columns.h"

#include <errno.h>
#include <inttypes.h>

/* Made by flame/embed.py. */
extern const char flame_page_head[], flame_page_tail[];

static void member(struct text *out, const char *name, const char *value)
{
	if (!value)
		return;
	text_add(out, "\"%s\":\"", name);
	text_add_json(out, value);
	text_add_string(out, "\",");
}

static void metadata_write(const struct flame_page *page, struct text *out)
{
	member(out, "title", page->title);
	member(out, "host", page->host);
	member(out, "name_a", page->name_a);
	member(out, "name_b", page->name_b);
	member(out, "version", BOLOMETER_VERSION);
	text_add(out, "\"time_ns\":%" PRId64 ",\"duration_ns\":%" PRId64 ",", page->time_ns,
		 page->duration_ns);
	text_add(out, "\"is_diff\":%s,\"first_view\":%zu,\"group_levels\":%u,", page->is_diff ? "true" : "false",
		 page->first_view, page->group_levels);
	text_add_string(out, "\"comments\":[");
	for (size_t i = 0; i < page->comment_count; i++) {
		text_add_string(out, i ? ",\"" : "\"");
		text_add_json(out, page->comments[i] ? page->comments[i] : "");
		text_add_char(out, '"');
	}
	text_add_string(out, "]");
}

static bool is_drawable(const struct flame_page *page)
{
	return page->view_count && page->first_view < page->view_count;
}

int flame_page_write_data(const struct flame_page *page, struct text *out)
{
	if (!is_drawable(page))
		return -EINVAL;
	text_add_char(out, '{');
	metadata_write(page, out);
	text_add_string(out, ",\"views\":[");
	for (size_t i = 0; i < page->view_count; i++) {
		const struct flame_view *view = &page->views[i];
		text_add_string(out, i ? ",{" : "{");
		member(out, "type", view->type);
		member(out, "unit", view->unit);
		if (flame_columns_write(view->tree, page->is_diff, out) < 0)
			return -ENOMEM;
		text_add_char(out, '}');
	}
	text_add_string(out, "]}");
	return out->failed ? -ENOMEM : 0;
}

int flame_page_write(const struct flame_page *page, struct text *out)
{
	if (!is_drawable(page))
		return -EINVAL;
	text_add_string(out, flame_page_head);
	int r = flame_page_write_data(page, out);
	text_add_string(out, flame_page_tail);
	return r == 0 && out->failed ? -ENOMEM : r;
}
