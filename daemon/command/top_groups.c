/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the sums by who ran a sample: processes, threads, containers. */
#include "command/top_model.h"

#include "base/arithmetic.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

#define NO_CONTAINER "(host)"
#define NO_NAME "(unknown)"

struct groups {
	const struct profile *profile;
	struct top_table *table;
	struct hash row_of_key;
	struct strings leaves; /* names of the functions that ran */
	struct hash leaf_time; /* row and leaf -> value */
};

uint64_t top_container_key(const char *container_id)
{
	return container_id ? hash_bytes(container_id, strlen(container_id)) | 1 : 0;
}

void top_origin_read(const struct profile *profile, const struct profile_sample *sample,
		     struct top_origin *ret)
{
	*ret = (struct top_origin){0};
	for (uint32_t i = 0; i < sample->label_count; i++) {
		const struct profile_label *label =
			&profile->labels.items[sample->first_label + i];
		const char *key = profile_text(profile, label->key);
		const char *text = profile_text(profile, label->text);
		if (strcmp(key, "process.pid") == 0)
			ret->pid = (uint64_t)label->number;
		else if (strcmp(key, "thread.id") == 0)
			ret->tid = (uint64_t)label->number;
		else if (strcmp(key, "process.executable.name") == 0)
			ret->process = text;
		else if (strcmp(key, "thread.name") == 0)
			ret->thread = text;
		else if (strcmp(key, "container.id") == 0)
			ret->container = text;
	}
}

uint64_t top_origin_key(const struct top_origin *origin, enum top_view view)
{
	switch (view) {
	case TOP_PROCESSES:
		return origin->pid;
	case TOP_THREADS:
		return origin->tid;
	default:
		return top_container_key(origin->container);
	}
}

static char *printable(const char *name)
{
	struct text text = {0};
	text_add_printable(&text, name);
	return text_take(&text);
}

static int add_row(struct groups *groups, enum top_view view, uint64_t key,
		   const struct top_origin *origin)
{
	struct top_row row = {.id = key, .node = CALL_TREE_NONE};
	const char *name = view == TOP_PROCESSES ? origin->process
			 : view == TOP_THREADS	 ? origin->thread
						 : origin->container;
	const char *process = origin->process && *origin->process ? origin->process : NO_NAME;
	if (!name || !*name)
		name = view == TOP_CONTAINERS ? NO_CONTAINER : NO_NAME;
	row.name = printable(name);
	if (view == TOP_THREADS) {
		struct text detail = {0};
		text_add_printable(&detail, process);
		text_add(&detail, " (%llu)", (unsigned long long)origin->pid);
		row.detail = text_take(&detail);
	}
	if (!row.name || (view == TOP_THREADS && !row.detail) ||
	    hash_put(&groups->row_of_key, key, groups->table->rows.count) < 0) {
		free(row.name);
		free(row.detail);
		return -ENOMEM;
	}
	return top_table_add(groups->table, &row);
}

/* The innermost frame: is it the kernel's, and what is its name? */
static int add_leaf(struct groups *groups, uint32_t row, const struct profile_sample *sample,
		    int64_t value, bool *ret_is_kernel)
{
	char buffer[256];
	uint32_t name;
	*ret_is_kernel = false;
	if (!sample->location_count)
		return 0;
	const struct profile *profile = groups->profile;
	const struct profile_location *leaf =
		&profile->locations
			 .items[profile->stack_locations.items[sample->first_location]];
	*ret_is_kernel = leaf->type == FRAME_TYPE_KERNEL;
	if (strings_add_text(&groups->leaves,
			     profile_frame_name(profile, leaf, 0, buffer, sizeof(buffer)),
			     &name) < 0)
		return -ENOMEM;
	uint64_t key = (uint64_t)row << 32 | name;
	uint64_t *known = hash_get(&groups->leaf_time, key);
	int64_t sum = add_saturating(known ? (int64_t)*known : 0, value);
	return hash_put(&groups->leaf_time, key, (uint64_t)sum);
}

static int add_sample(struct groups *groups, enum top_view view,
		      const struct profile_sample *sample, int64_t value)
{
	struct top_origin origin;
	bool is_kernel;
	top_origin_read(groups->profile, sample, &origin);
	uint64_t key = top_origin_key(&origin, view);
	uint64_t *known = hash_get(&groups->row_of_key, key);
	uint32_t index = known ? (uint32_t)*known : (uint32_t)groups->table->rows.count;
	if ((!known && add_row(groups, view, key, &origin) < 0) ||
	    add_leaf(groups, index, sample, value, &is_kernel) < 0)
		return -ENOMEM;
	struct top_row *row = &groups->table->rows.items[index];
	row->total = add_saturating(row->total, value);
	if (!is_kernel)
		row->self = add_saturating(row->self, value);
	return 0;
}

/* Equal times: the first name in the alphabet, so that a frozen picture stays as it is. */
static int find_hottest(struct groups *groups)
{
	size_t rows = groups->table->rows.count;
	_cleanup_free_ int64_t *most = calloc(rows + 1, sizeof(*most));
	_cleanup_free_ const char **name = calloc(rows + 1, sizeof(*name));
	struct hash_slot *slot;
	if (!most || !name)
		return -ENOMEM;
	for (size_t i = 0; (slot = hash_next(&groups->leaf_time, &i));) {
		uint32_t row = (uint32_t)(slot->key >> 32);
		int64_t value = (int64_t)slot->value;
		const char *leaf = strings_get(&groups->leaves, (uint32_t)slot->key);
		if (value > most[row] ||
		    (value == most[row] && name[row] && strcmp(leaf, name[row]) < 0)) {
			most[row] = value;
			name[row] = leaf;
		}
	}
	for (size_t i = 0; i < rows; i++) {
		if (!name[i])
			continue;
		groups->table->rows.items[i].hottest = printable(name[i]);
		if (!groups->table->rows.items[i].hottest)
			return -ENOMEM;
	}
	return 0;
}

int top_groups_build(const struct profile *profile, size_t value, enum top_view view,
		     struct top_table *table)
{
	struct groups groups = {.profile = profile, .table = table};
	size_t types = profile->sample_types.count;
	int r = 0;
	for (size_t i = 0; i < profile->samples.count && r == 0; i++) {
		int64_t amount = profile->values.items[i * types + value];
		if (amount == 0)
			continue;
		table->total = add_saturating(table->total, amount);
		r = add_sample(&groups, view, &profile->samples.items[i], amount);
	}
	if (r == 0)
		r = find_hottest(&groups);
	hash_free(&groups.row_of_key);
	hash_free(&groups.leaf_time);
	strings_free(&groups.leaves);
	return r;
}
