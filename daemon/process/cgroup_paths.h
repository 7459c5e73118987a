/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroup directories: from the id that a sample carries (the kernfs node id, which is the inode
 * number of the directory in the cgroup2 file system) to the path, and from the path a user gives to
 * the id.
 *
 * Hosts mount one v2 hierarchy, several v1 ones, or both ("hybrid"), anywhere. A daemon in a private
 * cgroup namespace sees its own group as "/" and others as "/../x"; through /proc/1/root it can
 * still read the host's mount when it shares the host's pid namespace.
 */
#pragma once

#include "base/attributes.h"

struct cgroup_paths;

/* Opens the v2 mount if there is one. `proc_path` as for the process table. Returns 0 or -errno. */
int cgroup_paths_new(const char *proc_path, struct cgroup_paths **ret);
struct cgroup_paths *cgroup_paths_free(struct cgroup_paths *paths);

/* The path of the v2 cgroup with this id below the hierarchy's root ("/system.slice/x.service"), also
 * of one that is gone but was looked up before. Shared text (process/shared_text.h) that stays the
 * cache's; NULL when it cannot be told. */
char *cgroup_paths_find(struct cgroup_paths *paths, uint64_t id);

/* Notes a path that was learned otherwise (shared text; the cache takes its own reference). */
void cgroup_paths_remember(struct cgroup_paths *paths, uint64_t id, char *path);

/* Does the host also have v1 hierarchies, where a task may be in another group than in v2? */
bool cgroup_paths_have_v1(const struct cgroup_paths *paths);

/* Are we in a cgroup namespace of our own, so that paths below /proc are relative to our own group? */
bool cgroup_paths_are_private(const struct cgroup_paths *paths);

struct cgroup_target {
	bool unified;	      /* cgroup v2 */
	char controllers[64]; /* v1: as the mount says, "cpu,cpuacct" or "name=systemd" */
	uint64_t id;	      /* kernfs node id: st_ino of the directory */
	char *directory;      /* absolute path; the caller frees */
};

/* Finds the cgroup a user means: an absolute path of a directory in a cgroup file system, or a path
 * below a hierarchy's root. Several hierarchies may have it: v2 first, then the v1 controllers pids,
 * cpu, memory, then any other controller, then named hierarchies. Returns 0, -ENOENT when no
 * hierarchy has it, or -errno. */
int cgroup_resolve(const char *path, struct cgroup_target *ret);

/* Same on the mounts listed in a mountinfo file: for tests. */
int cgroup_resolve_at(const char *mountinfo_path, const char *path, struct cgroup_target *ret);
