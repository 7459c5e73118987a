/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the walk over libyaml's events; see yaml_tree.h for what is refused. */
#include "service/yaml_tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct open_node {
	uint32_t node, last_child;
};

struct build {
	struct yaml_tree *tree;
	struct yaml_failure *failure;
	struct open_node stack[YAML_TREE_MAX_DEPTH];
	size_t depth;
	unsigned documents;
};

static int fail_at(struct build *b, const yaml_mark_t *mark, const char *what)
{
	b->failure->line = (unsigned)mark->line + 1;
	b->failure->column = (unsigned)mark->column + 1;
	snprintf(b->failure->text, sizeof(b->failure->text), "%s", what);
	return -EINVAL;
}

static void link_node(struct build *b, uint32_t node)
{
	struct yaml_node *nodes = b->tree->nodes.items;
	if (!b->depth)
		return;
	struct open_node *parent = &b->stack[b->depth - 1];
	if (parent->last_child == YAML_NONE)
		nodes[parent->node].first = node;
	else
		nodes[parent->last_child].next = node;
	parent->last_child = node;
}

static int add_node(struct build *b, const yaml_event_t *event, enum yaml_node_kind kind)
{
	if (b->tree->nodes.count >= YAML_TREE_MAX_NODES)
		return fail_at(b, &event->start_mark, "too many entries for a configuration");
	struct yaml_node node = {
		.kind = kind,
		.line = (unsigned)event->start_mark.line + 1,
		.column = (unsigned)event->start_mark.column + 1,
		.first = YAML_NONE,
		.next = YAML_NONE,
	};
	int r = array_add(&b->tree->nodes, node);
	if (r == 0)
		link_node(b, (uint32_t)b->tree->nodes.count - 1);
	return r;
}

static int add_scalar(struct build *b, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	if (event->data.scalar.tag)
		return fail_at(b, &event->start_mark, "tags are not supported");
	if (strlen(value) != event->data.scalar.length)
		return fail_at(b, &event->start_mark, "a text with a NUL byte");
	int r = add_node(b, event, YAML_SCALAR);
	if (r < 0)
		return r;
	struct yaml_node *node = &b->tree->nodes.items[b->tree->nodes.count - 1];
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	node->text = strdup(value);
	return node->text ? 0 : -ENOMEM;
}

static int open_node(struct build *b, const yaml_event_t *event, enum yaml_node_kind kind)
{
	const yaml_char_t *tag = kind == YAML_MAPPING ? event->data.mapping_start.tag
						      : event->data.sequence_start.tag;
	if (tag)
		return fail_at(b, &event->start_mark, "tags are not supported");
	if (b->depth == YAML_TREE_MAX_DEPTH)
		return fail_at(b, &event->start_mark, "nested too deeply");
	int r = add_node(b, event, kind);
	if (r == 0)
		b->stack[b->depth++] =
			(struct open_node){(uint32_t)b->tree->nodes.count - 1, YAML_NONE};
	return r;
}

/* Returns 1 at the end of the text. */
static int take_event(struct build *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_STREAM_END_EVENT:
		return 1;
	case YAML_DOCUMENT_START_EVENT:
		if (b->documents++)
			return fail_at(b, &event->start_mark, "a second document: the configuration is one, without '---' between");
		return 0;
	case YAML_ALIAS_EVENT:
		return fail_at(b, &event->start_mark, "aliases (*name) are not supported");
	case YAML_SCALAR_EVENT:
		return add_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_node(b, event, YAML_SEQUENCE);
	case YAML_MAPPING_START_EVENT:
		return open_node(b, event, YAML_MAPPING);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return 0;
	default:
		return 0;
	}
}

/* The reader knows only an offset for bytes that are no UTF-8. */
static yaml_mark_t mark_of_offset(const char *bytes, size_t size, size_t offset)
{
	yaml_mark_t mark = {0};
	for (size_t i = 0; i < size && i < offset; i++) {
		mark.column = bytes[i] == '\n' ? 0 : mark.column + 1;
		mark.line += bytes[i] == '\n';
	}
	return mark;
}

static bool begins_with_tab(const char *bytes, size_t size, size_t line)
{
	size_t at = 0;
	for (; at < size && line; at++)
		line -= bytes[at] == '\n';
	while (at < size && bytes[at] == ' ')
		at++;
	return at < size && bytes[at] == '\t';
}

/* What people do most often when the parser says this. */
static const char *hint_for(const yaml_parser_t *parser, const char *bytes, size_t size)
{
	if (begins_with_tab(bytes, size, parser->problem_mark.line))
		return ": the line begins with a tab, YAML wants spaces";
	if (parser->problem && strcmp(parser->problem, "mapping values are not allowed in this context") == 0)
		return ": is the line indented too far, or a text with ': ' without quotes?";
	return "";
}

static int fail_syntax(struct build *b, const yaml_parser_t *parser, const char *bytes, size_t size)
{
	char what[256], begin[64] = "";
	yaml_mark_t mark = parser->problem_mark;
	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		mark = mark_of_offset(bytes, size, parser->problem_offset);
	else if (parser->context && parser->context_mark.line != mark.line)
		snprintf(begin, sizeof(begin), " that begins in line %zu, column %zu", parser->context_mark.line + 1,
			 parser->context_mark.column + 1);
	snprintf(what, sizeof(what), "%s%s%s%s%s", parser->problem ? parser->problem : "not YAML",
		 parser->context ? " " : "", parser->context ? parser->context : "", begin,
		 parser->error == YAML_READER_ERROR ? "" : hint_for(parser, bytes, size));
	return fail_at(b, &mark, what);
}

int yaml_tree_parse(const char *bytes, size_t size, struct yaml_tree *tree,
		    struct yaml_failure *failure)
{
	yaml_parser_t parser;
	struct build build = {.tree = tree, .failure = failure};
	if (size > YAML_TREE_MAX_BYTES)
		return fail_at(&build, &(yaml_mark_t){0}, "larger than 1 MiB");
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
	int r = 0;
	while (r == 0) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser, &event)) {
			r = fail_syntax(&build, &parser, bytes, size);
			break;
		}
		r = take_event(&build, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return MIN_OF(r, 0);
}

void yaml_tree_free(struct yaml_tree *tree)
{
	for (size_t i = 0; i < tree->nodes.count; i++)
		free(tree->nodes.items[i].text);
	array_free(&tree->nodes);
}

bool yaml_is_null(const struct yaml_node *node)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};
	if (node->kind != YAML_SCALAR || node->quoted)
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		if (strcmp(node->text, words[i]) == 0)
			return true;
	return false;
}
