/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cgroup path says about who runs in it: container engine ids, Kubernetes pod uids, systemd
 * units. Pure: takes the path.
 *
 * Engines name the cgroup after the container: 64 hex digits, bare or between a prefix and ".scope"
 * (docker-, libpod-, cri-containerd-, crio-); containerd without the unified layout writes
 * SLICE:cri-containerd:ID; ECS names tasks 32 hex digits, dash, number; LXC, ctr and buildkit let
 * people choose. Engines nest (kind, docker in docker): the last id in the path is the innermost.
 */
#pragma once

#include "process/proc_text.h"

struct container_identity {
	struct slice id;   /* of the container; empty: not in one */
	struct slice unit; /* systemd unit (.service or .scope) outside containers, still escaped */
	const char *runtime; /* the engine, where the path tells: a constant; NULL: unknown */
	bool id_is_name;   /* people chose it */
	char pod_uid[37];  /* "" when there is none; dashes as Kubernetes writes them */
};

/* Slices point into `cgroup_path`. */
void container_identify(struct slice cgroup_path, struct container_identity *ret);

/* Turns systemd's \x2d and the like into characters. A new string, NULL when out of memory. */
char *unit_unescape(struct slice unit);
