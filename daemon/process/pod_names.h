/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of pods and their containers without asking any API: the kubelet writes them into the names of
 * the log files on each node,
 *	/var/log/pods/NAMESPACE_POD_UID/
 *	/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log
 * (kubernetes, pkg/kubelet/kuberuntime: BuildPodLogsDirectory() and legacyLogSymlink()). None of the
 * names may hold "_". Only names are read, no log.
 */
#pragma once

#include "base/attributes.h"
#include "process/proc_text.h"

struct pod_names;

struct pod_name {
	const char *namespace_name, *pod;
	const char *container; /* NULL: only the pod is known */
};

/* `root` is prefixed to the paths; NULL: our own root, where a pod may have the host's directory mounted,
 * and the host's as host_root() has it. Nothing is read yet. Returns 0 or -ENOMEM. */
int pod_names_new(const char *root, struct pod_names **ret);
struct pod_names *pod_names_free(struct pod_names *names);

/* Looks up a container by its id, else a pod by its uid; either may be "". An unknown one makes the
 * directories be read again, at most ten times a second. What was known once stays known when its files are
 * gone. The result is valid until the next call. Returns whether it is known. */
bool pod_names_find(struct pod_names *names, const char *container_id, const char *pod_uid,
		    uint64_t now_ns, struct pod_name *ret);

/* The pure part. Each cuts the name of a directory entry into its parts; false when it is none. */
bool pod_log_directory_parse(struct slice name, struct slice *ret_namespace, struct slice *ret_pod,
			     struct slice *ret_uid);
bool container_log_parse(struct slice name, struct slice *ret_pod, struct slice *ret_namespace,
			 struct slice *ret_container, struct slice *ret_id);
