/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the walk from the tree of a file into the fields that the tables describe. A mapping is either a
 * section (keys of the table that begin with its name) or the value of a setting that takes pairs.
 */
#include "service/configuration_file.h"

#include "service/setting.h"
#include "service/unknown_key.h"
#include "service/yaml_tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_KEY 128
#define MAX_EXPORTERS 64
#define MAX_STRATEGIES 64

struct reader {
	const char *name;
	const struct yaml_tree *tree;
	struct configuration_problems *problems;
	const struct setting *table;
	void *target;
	const char *place; /* before keys in problems: "exporters[2]."; "" at the top */
	int error;
};

static const struct yaml_node *node_at(const struct reader *r, uint32_t index)
{
	return index == YAML_NONE ? NULL : &r->tree->nodes.items[index];
}

static struct setting_origin origin_of(const struct reader *r, const struct yaml_node *node)
{
	return (struct setting_origin){r->name, node->line, node->column};
}

#define COMPLAIN(r, node, key_, ...)                                                       \
	do {                                                                               \
		struct setting_origin _origin = origin_of(r, node);                        \
		char _key[2 * MAX_KEY];                                                    \
		snprintf(_key, sizeof(_key), "%s%s", (r)->place, key_);                    \
		problem_add((r)->problems, &_origin, _key[0] ? _key : NULL, __VA_ARGS__);  \
	} while (0)

static void note_place(struct reader *r, const struct yaml_node *node, const char *path)
{
	struct setting_origin origin = origin_of(r, node);
	char key[2 * MAX_KEY];
	snprintf(key, sizeof(key), "%s%s", r->place, path);
	problem_note_place(r->problems, &origin, key);
}

static void refuse_unknown(struct reader *r, const struct yaml_node *key, const char *prefix,
			   const char *path)
{
	struct text explanation = {0};
	unknown_key_explain(&(struct unknown_key){r->table, r->place, prefix, key->text}, &explanation);
	COMPLAIN(r, key, path, "unknown key%s", explanation.bytes ? explanation.bytes : "");
	text_free(&explanation);
}

/* ---- Values --------------------------------------------------------------------------------------- */

static void read_scalar(struct reader *r, const struct setting *setting,
			const struct yaml_node *node)
{
	struct text problem = {0};
	if (node->kind != YAML_SCALAR || (yaml_is_null(node) && setting->kind != SETTING_TEXT)) {
		setting_write_range(setting, &problem);
		COMPLAIN(r, node, setting->key, "%s, wanted %s",
			 node->kind == YAML_SCALAR ? "no value" : "not a single value",
			 problem.bytes ? problem.bytes : "a value");
	} else {
		int error = setting_parse(setting, r->target, yaml_is_null(node) ? "" : node->text,
					  &problem);
		if (error == -EINVAL)
			COMPLAIN(r, node, setting->key, "%s",
				 problem.bytes ? problem.bytes : "wrong value");
		else if (error < 0)
			r->error = error;
	}
	text_free(&problem);
}

static void read_texts(struct reader *r, const struct setting *setting,
		       const struct yaml_node *node)
{
	struct setting_texts *texts =
		(struct setting_texts *)((char *)r->target + setting->offset);
	if (yaml_is_null(node))
		return;
	if (node->kind != YAML_SEQUENCE) {
		COMPLAIN(r, node, setting->key, "not a list, wanted [\"a\", \"b\"]");
		return;
	}
	const struct yaml_node *item;
	for (uint32_t i = node->first; (item = node_at(r, i)) && !r->error; i = item->next) {
		if (item->kind != YAML_SCALAR || !*item->text)
			COMPLAIN(r, item, setting->key, "not a text in a list of texts");
		else
			r->error = setting_texts_add(texts, item->text);
	}
}

static bool has_pair(const struct sink_pairs *pairs, const char *name)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (strcmp(pairs->items[i].name, name) == 0)
			return true;
	return false;
}

static void read_pairs(struct reader *r, const struct setting *setting,
		       const struct yaml_node *node)
{
	struct sink_pairs *pairs = (struct sink_pairs *)((char *)r->target + setting->offset);
	if (yaml_is_null(node))
		return;
	if (node->kind != YAML_MAPPING) {
		COMPLAIN(r, node, setting->key, "not names with values, wanted {name: value}");
		return;
	}
	const struct yaml_node *key, *value;
	for (uint32_t i = node->first; (key = node_at(r, i)) && !r->error; i = value->next) {
		value = node_at(r, key->next);
		if (key->kind != YAML_SCALAR || !*key->text)
			COMPLAIN(r, key, setting->key, "a name that is no text");
		else if (value->kind != YAML_SCALAR || yaml_is_null(value))
			COMPLAIN(r, value, setting->key, "%s has no single value", key->text);
		else if (has_pair(pairs, key->text))
			COMPLAIN(r, key, setting->key, "%s is given twice", key->text);
		else
			r->error = sink_pairs_add(pairs, key->text, value->text);
	}
}

static void read_setting(struct reader *r, const struct setting *setting,
			 const struct yaml_node *node)
{
	note_place(r, node, setting->key);
	if (setting->kind == SETTING_TEXTS)
		read_texts(r, setting, node);
	else if (setting->kind == SETTING_PAIRS)
		read_pairs(r, setting, node);
	else
		read_scalar(r, setting, node);
}

/* ---- Sections ------------------------------------------------------------------------------------- */

static void read_section(struct reader *r, const char *prefix, const struct yaml_node *node);

/* A list of which each item is a section. */
struct section_list {
	const char *key;
	const char *item, *items; /* in messages: "an exporter", "exporters" */
	const struct setting *table;
	size_t most;
	size_t (*count)(const struct configuration *configuration);
	void *(*add)(struct configuration *configuration, unsigned line, unsigned column); /* NULL: out of memory */
};

static size_t count_exporters(const struct configuration *c)
{
	return c->exporters.count;
}

static void *add_exporter(struct configuration *c, unsigned line, unsigned column)
{
	struct exporter_configuration exporter = {.line = line, .column = column};
	return array_add(&c->exporters, exporter) < 0 ? NULL : &c->exporters.items[c->exporters.count - 1];
}

static size_t count_strategies(const struct configuration *c)
{
	return c->strategies.count;
}

static void *add_strategy(struct configuration *c, unsigned line, unsigned column)
{
	struct strategy_configuration strategy = {.line = line, .column = column};
	return array_add(&c->strategies, strategy) < 0 ? NULL : &c->strategies.items[c->strategies.count - 1];
}

static const struct section_list section_lists[] = {
	{STRATEGIES_KEY, "a strategy", "strategies", strategy_settings, MAX_STRATEGIES, count_strategies,
	 add_strategy},
	{EXPORTERS_KEY, "an exporter", "exporters", exporter_settings, MAX_EXPORTERS, count_exporters,
	 add_exporter},
};

static const struct section_list *find_list(const struct reader *r, const char *path)
{
	for (size_t i = 0; r->table == configuration_settings && i < ARRAY_LENGTH(section_lists); i++)
		if (strcmp(section_lists[i].key, path) == 0)
			return &section_lists[i];
	return NULL;
}

static void read_item(struct reader *r, const struct section_list *list, const struct yaml_node *item)
{
	char place[32];
	struct reader inner = *r;
	snprintf(place, sizeof(place), "%s[%zu].", list->key, list->count(r->target));
	inner.place = place;
	inner.table = list->table;
	inner.target = list->add(r->target, item->line, item->column);
	inner.error = inner.target ? settings_set_defaults(list->table, inner.target) : -ENOMEM;
	if (!inner.error)
		read_section(&inner, "", item);
	r->error = inner.error;
}

static void read_list(struct reader *r, const struct section_list *list, const struct yaml_node *node)
{
	if (yaml_is_null(node))
		return;
	if (node->kind != YAML_SEQUENCE) {
		COMPLAIN(r, node, list->key, "not a list; each %s begins with a dash", strchr(list->item, ' ') + 1);
		return;
	}
	const struct yaml_node *item;
	for (uint32_t i = node->first; (item = node_at(r, i)) && !r->error; i = item->next) {
		if (item->kind != YAML_MAPPING) {
			COMPLAIN(r, item, list->key, "not %s; wanted keys with values below the dash", list->item);
			continue;
		}
		if (list->count(r->target) == list->most) {
			COMPLAIN(r, item, list->key, "more than %zu %s", list->most, list->items);
			return;
		}
		read_item(r, list, item);
	}
}

static bool is_section(const struct setting *table, const char *path)
{
	size_t length = strlen(path);
	for (const struct setting *setting = table; setting->kind; setting++)
		if (strncmp(setting->key, path, length) == 0 && setting->key[length] == '.')
			return true;
	return false;
}

/* A dot is added to `path`, which has room for it. */
static void read_inner_section(struct reader *r, const struct yaml_node *key, char *path,
			       const struct yaml_node *value)
{
	note_place(r, key, path);
	read_section(r, strcat(path, "."), value);
}

static void read_entry(struct reader *r, const char *prefix, const struct yaml_node *key,
		       const struct yaml_node *value)
{
	char path[MAX_KEY];
	int length = key->kind == YAML_SCALAR
			     ? snprintf(path, sizeof(path), "%s%s", prefix, key->text)
			     : -1;
	if (length < 0 || length + 1 >= (int)sizeof(path)) {
		COMPLAIN(r, key, prefix, "a key that is no short text");
		return;
	}
	const struct setting *setting = setting_find(r->table, path);
	const struct section_list *list = find_list(r, path);
	/* A key with dots is no way round its section, where it could be given twice. */
	if (strchr(key->text, '.'))
		refuse_unknown(r, key, prefix, path);
	else if (setting)
		read_setting(r, setting, value);
	else if (list)
		read_list(r, list, value);
	else if (is_section(r->table, path))
		read_inner_section(r, key, path, value);
	else
		refuse_unknown(r, key, prefix, path);
}

/* The same key before it in its mapping, or NULL. */
static const struct yaml_node *find_twin(const struct reader *r, const struct yaml_node *mapping,
					 const struct yaml_node *key)
{
	const struct yaml_node *earlier;
	for (uint32_t i = mapping->first; (earlier = node_at(r, i)) && earlier != key;
	     i = node_at(r, earlier->next)->next)
		if (earlier->kind == YAML_SCALAR && key->kind == YAML_SCALAR &&
		    strcmp(earlier->text, key->text) == 0)
			return earlier;
	return NULL;
}

static void refuse_twin(struct reader *r, const char *prefix, const struct yaml_node *key,
			const struct yaml_node *twin)
{
	char path[MAX_KEY];
	if (snprintf(path, sizeof(path), "%s%s", prefix, key->text) >= (int)sizeof(path))
		path[0] = '\0';
	COMPLAIN(r, key, path, "given twice, first in line %u", twin->line);
}

static void read_section(struct reader *r, const char *prefix, const struct yaml_node *node)
{
	if (yaml_is_null(node))
		return;
	if (node->kind != YAML_MAPPING) {
		char name[MAX_KEY];
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(prefix, "."), prefix);
		COMPLAIN(r, node, name, "not a section; wanted keys with values below it%s",
			 node->kind == YAML_SEQUENCE ? ", not dashes"
			 : strchr(node->text, ' ')  ? ": is a colon missing behind the key?"
						    : "");
		return;
	}
	const struct yaml_node *key, *value;
	for (uint32_t i = node->first; (key = node_at(r, i)) && !r->error; i = value->next) {
		value = node_at(r, key->next);
		const struct yaml_node *twin = find_twin(r, node, key);
		if (twin)
			refuse_twin(r, prefix, key, twin);
		else
			read_entry(r, prefix, key, value);
	}
}

int configuration_read_text(const char *name, const char *bytes, size_t size,
			    struct configuration *configuration,
			    struct configuration_problems *problems)
{
	struct yaml_tree tree = {0};
	struct yaml_failure failure = {0};
	struct reader reader = {
		.name = name,
		.tree = &tree,
		.problems = problems,
		.table = configuration_settings,
		.target = configuration,
		.place = "",
	};
	reader.error = yaml_tree_parse(bytes, size, &tree, &failure);
	if (reader.error == -EINVAL) {
		struct setting_origin origin = {name, failure.line, failure.column};
		problem_add(problems, &origin, NULL, "%s", failure.text);
		reader.error = 0;
	} else if (!reader.error && tree.nodes.count) {
		read_section(&reader, "", &tree.nodes.items[0]);
	}
	yaml_tree_free(&tree);
	return reader.error;
}
