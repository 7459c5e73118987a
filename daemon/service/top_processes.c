/* SPDX-License-Identifier: Apache-2.0 */
/* See top_processes.h. The labels are those of profile/profile_builder.c. */
#include "service/top_processes.h"

#include "base/json.h"

#include <errno.h>
#include <string.h>

struct top_process {
	int64_t pid, value;
	uint32_t name, container; /* strings */
};

struct top_processes {
	ARRAY(struct top_process) list;
	struct hash by_pid; /* pid and name -> index: numbers are used again */
};

static int add(struct top_processes *top, const struct top_process *process)
{
	uint64_t key = hash_mix((uint64_t)process->pid) ^ process->name;
	const uint64_t *known = hash_get(&top->by_pid, key);
	if (known) {
		top->list.items[*known].value += process->value;
		return 0;
	}
	int r = hash_put(&top->by_pid, key, top->list.count);
	return r < 0 ? r : array_add(&top->list, *process);
}

static int collect(const struct profile *profile, size_t value, struct top_processes *top)
{
	for (size_t i = 0; i < profile->samples.count; i++) {
		const struct profile_sample *sample = &profile->samples.items[i];
		struct top_process process = {
			.value = profile->values.items[i * profile->sample_types.count + value]};
		for (size_t k = 0; k < sample->label_count; k++) {
			const struct profile_label *label =
				&profile->labels.items[sample->first_label + k];
			const char *key = profile_text(profile, label->key);
			if (strcmp(key, "process.pid") == 0)
				process.pid = label->number;
			else if (strcmp(key, "process.executable.name") == 0)
				process.name = label->text;
			else if (strcmp(key, "container.id") == 0)
				process.container = label->text;
		}
		int r = sample->label_count ? add(top, &process) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = ((const struct top_process *)a)->value, y = ((const struct top_process *)b)->value;
	return x < y ? 1 : x > y ? -1 : 0;
}

int top_processes_write(const struct profile *profile, size_t value, size_t limit, struct text *out)
{
	struct top_processes top = {0};
	struct json json = {.out = out};
	int r = collect(profile, value, &top);
	if (r == 0 && top.list.count)
		qsort(top.list.items, top.list.count, sizeof(*top.list.items), by_value);
	json_open(&json, NULL, '[');
	for (size_t i = 0; r == 0 && i < top.list.count && i < limit; i++) {
		const struct top_process *process = &top.list.items[i];
		json_open(&json, NULL, '{');
		json_number(&json, "pid", (uint64_t)process->pid);
		json_text(&json, "name", profile_text(profile, process->name));
		json_text(&json, "container",
			  process->container ? profile_text(profile, process->container) : NULL);
		json_number(&json, "value", (uint64_t)MAX_OF(process->value, 0));
		json_close(&json, '}');
	}
	json_close(&json, ']');
	array_free(&top.list);
	hash_free(&top.by_pid);
	return r == 0 && out->failed ? -ENOMEM : r;
}
