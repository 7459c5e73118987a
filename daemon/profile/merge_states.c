/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is told by its labels: number, executable and host. The latest profile is the one that ends last;
 * of two that end at once, the later in the list. A process that no later profile knows keeps the state it
 * had last.
 */
#include "profile/merge_states.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_SIZE 512

bool merge_is_state(const struct profile *profile, struct profile_value_type type)
{
	return strncmp(profile_text(profile, type.type), "inuse_", 6) == 0;
}

/* False: the sample does not say. */
static bool process_key(const struct profile *profile, const struct profile_sample *sample,
			char key[static KEY_SIZE])
{
	const char *executable = "", *host = "";
	int64_t pid = 0;
	for (uint32_t i = 0; i < sample->label_count; i++) {
		const struct profile_label *label = &profile->labels.items[sample->first_label + i];
		const char *name = profile_text(profile, label->key);
		if (!strcmp(name, "process.pid"))
			pid = label->number;
		else if (!strcmp(name, "process.executable.name"))
			executable = profile_text(profile, label->text);
		else if (!strcmp(name, "host.name"))
			host = profile_text(profile, label->text);
	}
	snprintf(key, KEY_SIZE, "%" PRId64 "\n%.200s\n%.200s", pid, executable, host);
	return pid != 0;
}

static int64_t end_of(const struct profile *profile)
{
	int64_t end;
	return __builtin_add_overflow(profile->time_ns, profile->duration_ns, &end) ? INT64_MAX : end;
}

static int add_process(struct merge_states *states, const struct profile *const *profiles, size_t index,
		       const char *key)
{
	uint32_t process;
	int r = strings_add_text(&states->processes, key, &process);
	if (r < 0)
		return r;
	if (process == states->latest.count)
		return array_add(&states->latest, index);
	size_t *latest = &states->latest.items[process];
	if (end_of(profiles[index]) >= end_of(profiles[*latest]))
		*latest = index;
	return 0;
}

int merge_states_init(struct merge_states *states, const struct profile *const *profiles, size_t count)
{
	char key[KEY_SIZE];
	int r = 0;
	*states = (struct merge_states){0};
	for (size_t i = 0; i < profiles[0]->sample_types.count; i++)
		states->any |= merge_is_state(profiles[0], profiles[0]->sample_types.items[i]);
	for (size_t i = 0; states->any && i < count; i++)
		for (size_t k = 0; r == 0 && k < profiles[i]->samples.count; k++)
			if (process_key(profiles[i], &profiles[i]->samples.items[k], key))
				r = add_process(states, profiles, i, key);
	return r;
}

void merge_states_free(struct merge_states *states)
{
	strings_free(&states->processes);
	array_free(&states->latest);
}

bool merge_states_count(const struct merge_states *states, const struct profile *profile, size_t index,
			const struct profile_sample *sample)
{
	char key[KEY_SIZE];
	uint32_t process;
	if (!states->any || !process_key(profile, sample, key))
		return true;
	return !strings_find(&states->processes, key, strlen(key), &process) ||
	       states->latest.items[process] == index;
}
