/* SPDX-License-Identifier: Apache-2.0 */
/* See selected_cgroups.h. */
#include "collect/selected_cgroups.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MAX_PROCS_BYTES (1UL << 20) /* of one group: some 100,000 processes */

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

static int read_procs(const char *directory, struct hash *ret)
{
	char path[PATH_MAX], *end;
	_cleanup_free_ char *text = NULL;
	snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	int r = read_whole_file(path, MAX_PROCS_BYTES, &text, NULL);
	if (r < 0)
		return r == -EOPNOTSUPP ? 0 : r; /* a threaded group: its processes are its domain's */
	for (char *at = text; r == 0; at = end) {
		unsigned long pid = strtoul(at, &end, 10);
		if (end == at)
			break;
		if (pid)
			r = hash_put(ret, pid, 1);
	}
	return r;
}

/* The group and all below it. */
static int read_tree(char *directory, struct hash *ret)
{
	char *const roots[] = {directory, NULL};
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	const FTSENT *entry;
	int result = 0;
	if (!tree)
		return -errno;
	while ((entry = fts_read(tree))) {
		int r = entry->fts_info == FTS_D ? read_procs(entry->fts_path, ret) : 0;
		if (r < 0 && r != -ENOENT && r != -ENODEV)
			result = r;
	}
	fts_close(tree);
	return result;
}

int selected_cgroups_read_pids(const struct selection *selection, struct hash *ret)
{
	int result = 0;
	hash_clear(ret);
	for (size_t i = 0; i < selection->cgroup_paths.count; i++) {
		struct cgroup_target group;
		int r = cgroup_resolve(selection->cgroup_paths.items[i], &group);
		if (r == 0) {
			r = read_tree(group.directory, ret);
			free(group.directory);
		}
		if (r < 0 && r != -ENOENT)
			result = r;
	}
	return result;
}
