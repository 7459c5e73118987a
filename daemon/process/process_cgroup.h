/* SPDX-License-Identifier: Apache-2.0 */
/* The pure part of process_cgroup.c. */
#pragma once

#include "process/proc_text.h"

/* Chooses from the text of /proc/PID/cgroup the path that says most: the v2 path when it names a
 * container, else the v1 path that does (name=systemd, pids, cpu, memory, others), else the v2 path
 * unless it is "/", else a v1 path. *ret_unified is the v2 path. Empty when there is none. */
void cgroup_choose(struct slice text, struct slice *ret_path, struct slice *ret_unified);
