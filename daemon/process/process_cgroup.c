/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroup and the container of a process. On a host with only v2, the id in the sample is the
 * whole truth and is resolved without /proc; where v1 hierarchies exist, container engines may have
 * put the process into those alone, so /proc/PID/cgroup is read once for each program. The paths of new
 * v2 cgroups are announced when they are made, so that those that are gone by now are known. What the
 * parent had is the answer while nothing better is known.
 */
#include "process/container.h"
#include "process/process_cgroup.h"
#include "process/process_table.h"
#include "process/shared_text.h"

#include <string.h>

/* v1 hierarchies in the order in which they are asked for the container. */
static const char *const v1_order[] = {"name=systemd", "pids", "cpu", "memory"};

static size_t v1_rank(const struct cgroup_line *line)
{
	size_t rank = 0;
	while (rank < ARRAY_LENGTH(v1_order) &&
	       !controllers_contain(line->controllers, v1_order[rank]))
		rank++;
	return rank;
}

void cgroup_choose(struct slice text, struct slice *ret_path, struct slice *ret_unified)
{
	struct slice line, fallback = {0}, named = {0};
	size_t named_rank = SIZE_MAX, fallback_rank = SIZE_MAX;
	bool unified_names_container = false;
	*ret_unified = (struct slice){0};
	while (slice_next_line(&text, &line)) {
		struct cgroup_line parsed;
		struct container_identity identity;
		if (cgroup_line_parse(line, &parsed) < 0)
			continue;
		container_identify(parsed.path, &identity);
		if (parsed.unified) {
			*ret_unified = parsed.path;
			unified_names_container = identity.id.length > 0;
			continue;
		}
		size_t rank = v1_rank(&parsed);
		if (identity.id.length && rank < named_rank) {
			named = parsed.path;
			named_rank = rank;
		}
		if (rank < fallback_rank) {
			fallback = parsed.path;
			fallback_rank = rank;
		}
	}
	if (!unified_names_container && named.length)
		*ret_path = named;
	else if (ret_unified->length > 1 || fallback.length == 0)
		*ret_path = *ret_unified;
	else
		*ret_path = fallback;
}

/* Takes over the reference to `path`. */
static void set_cgroup(struct process *process, char *path)
{
	struct container_identity identity;
	container_identify((struct slice){path, strlen(path)}, &identity);
	shared_text_unreference(process->cgroup_path);
	shared_text_unreference(process->container_id);
	process->cgroup_path = path;
	process->container_id = identity.id.length
					? shared_text_new(identity.id.bytes, identity.id.length)
					: NULL;
}

static bool same_text(const char *text, struct slice slice)
{
	return text && slice_equals(slice, text);
}

/* In a cgroup namespace of our own every path is relative to our group: it is "/", others are "/../x".
 * The cache may know the whole path. */
static bool is_relative(const struct process_table *table, struct slice path)
{
	return cgroup_paths_are_private(table->cgroups) ||
	       (path.length >= 3 && !memcmp(path.bytes, "/..", 3));
}

static bool read_cgroup(struct process_table *table, struct process *process, uint64_t cgroup_id)
{
	ssize_t size = table_read_file(table, process->pid, "cgroup");
	if (size <= 0)
		return false;
	struct slice path = {0}, unified;
	cgroup_choose((struct slice){table->buffer, (size_t)size}, &path, &unified);
	if (path.length == 0)
		return false;
	bool relative = is_relative(table, path);
	if (relative && path.bytes == unified.bytes) {
		char *whole = cgroup_paths_find(table->cgroups, cgroup_id);
		if (whole) {
			set_cgroup(process, shared_text_reference(whole));
			return true;
		}
	}
	if (same_text(process->cgroup_path, path))
		return true;
	char *shared = shared_text_new(path.bytes, path.length);
	if (!shared)
		return false;
	set_cgroup(process, shared);
	if (path.bytes == unified.bytes && !relative && cgroup_id)
		cgroup_paths_remember(table->cgroups, cgroup_id, shared);
	return true;
}

const char *process_table_cgroup_path(struct process_table *table, uint64_t cgroup_id)
{
	return cgroup_paths_find(table->cgroups, cgroup_id);
}

void process_table_note_cgroup(struct process_table *table, uint64_t cgroup_id, const char *path)
{
	char *shared = path[0] == '/' ? shared_text_new(path, strlen(path)) : NULL;
	if (!shared)
		return;
	cgroup_paths_remember(table->cgroups, cgroup_id, shared);
	shared_text_unreference(shared);
}

void process_table_resolve_cgroup(struct process_table *table, struct process *process,
				  uint64_t cgroup_id)
{
	if (process->cgroup_checked && (cgroup_id == 0 || cgroup_id == process->cgroup_id))
		return;
	bool first = !process->cgroup_checked;
	bool same_id = cgroup_id && cgroup_id == process->cgroup_id;
	process->cgroup_checked = true;
	process->cgroup_id = cgroup_id;
	bool only_v2 = !cgroup_paths_have_v1(table->cgroups);
	if (only_v2 && same_id && process->cgroup_path)
		return; /* the parent's, and still true */
	char *path = only_v2 ? cgroup_paths_find(table->cgroups, cgroup_id) : NULL;
	if (path && path != process->cgroup_path) {
		set_cgroup(process, shared_text_reference(path));
		return;
	}
	bool newest = table_newest(table, process->pid) == process && !process->end;
	if (path || (newest && (first || !same_id) && read_cgroup(table, process, cgroup_id)))
		return;
	path = cgroup_paths_find(table->cgroups, cgroup_id);
	if (path && (strlen(path) > 1 || !process->cgroup_path))
		set_cgroup(process, shared_text_reference(path));
}
