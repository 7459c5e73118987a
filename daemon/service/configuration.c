/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the order in which sources are read, and how two configurations compare. */
#include "service/configuration.h"

#include "base/file.h"
#include "service/configuration_check.h"
#include "service/configuration_environment.h"
#include "service/configuration_file.h"
#include "service/setting.h"
#include "service/yaml_tree.h"

#include <errno.h>
#include <string.h>

void configuration_free(struct configuration *c)
{
	settings_free(configuration_settings, c);
	for (size_t i = 0; i < c->strategies.count; i++)
		settings_free(strategy_settings, &c->strategies.items[i]);
	array_free(&c->strategies);
	for (size_t i = 0; i < c->exporters.count; i++)
		settings_free(exporter_settings, &c->exporters.items[i]);
	array_free(&c->exporters);
}

static int read_file(const char *path, struct configuration *c,
		     struct configuration_problems *problems)
{
	_cleanup_free_ char *bytes = NULL;
	size_t size;
	struct setting_origin origin = {.source = path};
	int r = read_whole_file(path, YAML_TREE_MAX_BYTES, &bytes, &size);
	if (r == -EFBIG)
		problem_add(problems, &origin, NULL, "larger than 1 MiB");
	else if (r < 0)
		problem_add(problems, &origin, NULL, "cannot be read: %s", strerror(-r));
	return r < 0 ? r : configuration_read_text(path, bytes, size, c, problems);
}

int configuration_load(const struct configuration_sources *sources, struct configuration *ret,
		       struct configuration_problems *problems)
{
	*ret = (struct configuration){0};
	int r = settings_set_defaults(configuration_settings, ret);
	if (r == 0 && sources->path)
		r = read_file(sources->path, ret, problems);
	if (r == 0)
		r = configuration_read_environment(sources->environment, ret, problems);
	if (r == 0)
		r = configuration_read_opentelemetry(sources->environment, ret, problems);
	if (r == 0)
		r = configuration_read_sets(sources->sets, ret, problems);
	if (r == 0)
		r = configuration_check(sources->path ? sources->path : "configuration", ret,
					problems);
	problems_sort(problems); /* what is wrong with several keys together is found last */
	if (r == 0 && problems->failed)
		r = -ENOMEM;
	return r == 0 && problems->count ? -EINVAL : r;
}

/* ---- Comparing ------------------------------------------------------------------------------------ */

static bool all_equal(const struct setting *table, const void *a, const void *b)
{
	for (const struct setting *setting = table; setting->kind; setting++)
		if (!setting_equal(setting, a, b))
			return false;
	return true;
}

static bool exporters_equal(const struct configuration *a, const struct configuration *b)
{
	bool equal = a->exporters.count == b->exporters.count;
	for (size_t i = 0; equal && i < a->exporters.count; i++)
		equal = all_equal(exporter_settings, &a->exporters.items[i], &b->exporters.items[i]);
	return equal;
}

static bool strategies_equal(const struct configuration *a, const struct configuration *b)
{
	bool equal = a->strategies.count == b->strategies.count;
	for (size_t i = 0; equal && i < a->strategies.count; i++)
		equal = all_equal(strategy_settings, &a->strategies.items[i], &b->strategies.items[i]);
	return equal;
}

int configuration_compare(const struct configuration *old, const struct configuration *new,
			  struct configuration_changes *ret)
{
	int r = 0;
	for (const struct setting *setting = configuration_settings; setting->kind && r == 0;
	     setting++) {
		struct configuration_change change = {
			setting->key, setting->traits & SETTING_NEEDS_RESTART};
		if (!setting_equal(setting, old, new))
			r = array_add(ret, change);
	}
	if (r == 0 && !strategies_equal(old, new))
		r = array_add(ret, (struct configuration_change){"strategies", false});
	if (r == 0 && !exporters_equal(old, new))
		r = array_add(ret, (struct configuration_change){"exporters", false});
	return r;
}

void configuration_keep_fixed(struct configuration *old, struct configuration *new)
{
	for (const struct setting *setting = configuration_settings; setting->kind; setting++)
		if (setting->traits & SETTING_NEEDS_RESTART)
			setting_swap(setting, old, new);
}
