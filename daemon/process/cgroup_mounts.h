/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroup mounts listed in /proc/PID/mountinfo (proc_pid_mountinfo(5)).
 */
#pragma once

#include "base/array.h"
#include "process/proc_text.h"

struct cgroup_mount {
	bool unified;
	char *root;	   /* which directory of the hierarchy is mounted; "/" mostly */
	char *directory;   /* where */
	char *controllers; /* v1: "cpu,cpuacct", "name=systemd"; "" for v2 */
};

struct cgroup_mounts {
	ARRAY(struct cgroup_mount) list;
};

/* Pure. Mounts that hide others come later in the list. Returns 0 or -ENOMEM. */
int cgroup_mounts_parse(struct slice mountinfo, struct cgroup_mounts *ret);

/* Returns 0 or -errno. */
int cgroup_mounts_read(const char *mountinfo_path, struct cgroup_mounts *ret);
void cgroup_mounts_free(struct cgroup_mounts *mounts);
