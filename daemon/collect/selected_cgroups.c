/* SPDX-License-Identifier: Apache-2.0 */
/* See selected_cgroups.h. */
#include "collect/selected_cgroups.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

int selected_cgroups_resolve(const struct selection *selection, struct programs_selection *ret,
			     struct collect_failure *failure)
{
	if (selection->cgroup_paths.count > MAX_SELECTED_CGROUPS)
		return collect_fail(failure, -E2BIG, "at most %d --cgroup can be given",
				    MAX_SELECTED_CGROUPS);
	for (size_t i = 0; i < selection->cgroup_paths.count; i++) {
		const char *path = selection->cgroup_paths.items[i];
		int r = cgroup_resolve(path, &ret->cgroups[i]);
		if (r == -ENOENT && selection->cgroups_may_come)
			ret->cgroups[i] = (struct cgroup_target){.unified = true};
		else if (r < 0)
			return collect_fail(failure, r,
					    "--cgroup %s: no such group in any cgroup hierarchy (%s)",
					    path, strerror(-r));
		ret->cgroup_count++;
	}
	return 0;
}

void selected_cgroups_free(struct programs_selection *selection)
{
	for (size_t i = 0; i < selection->cgroup_count; i++)
		free(selection->cgroups[i].directory);
	selection->cgroup_count = 0;
}

/* "x.service" of "/system.slice/x.service/". */
static const char *last_component(const char *path, size_t *ret_length)
{
	size_t end = strlen(path), start;
	while (end && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/'; start--)
		;
	*ret_length = end - start;
	return path + start;
}

bool selected_cgroups_may_have(const struct selection *selection, const char *path)
{
	size_t length, wanted_length;
	const char *name = last_component(path, &length);
	for (size_t i = 0; i < selection->cgroup_paths.count; i++) {
		const char *wanted = last_component(selection->cgroup_paths.items[i],
						    &wanted_length);
		if (length == wanted_length && !memcmp(name, wanted, length))
			return true;
	}
	return false;
}

bool selected_cgroups_note_changes(const struct selection *selection,
				   const struct programs_selection *now,
				   uint64_t before[static MAX_SELECTED_CGROUPS])
{
	bool changed = false;
	for (size_t i = 0; i < now->cgroup_count; i++) {
		if (now->cgroups[i].id == before[i])
			continue;
		log_info("selected cgroup %s: %s", selection->cgroup_paths.items[i],
			 now->cgroups[i].id ? "it is there" : "it is gone");
		before[i] = now->cgroups[i].id;
		changed = true;
	}
	return changed;
}
