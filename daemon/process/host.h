/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is true of this machine, by OpenTelemetry's semantic conventions (resource/host, resource/os):
 * host.name, host.id, host.arch, os.type, os.name, os.version. In a pod
 * of Kubernetes k8s.node.name, which is the host's name too, comes from the variable NODE_NAME, which the
 * pod's manifest sets from spec.nodeName.
 */
#pragma once

#include "base/attributes.h"

struct host_facts {
	char node[256]; /* of Kubernetes */
	char name[256]; /* as the kernel has it; each "" when it cannot be told */
	char id[64];	/* /etc/machine-id */
	char os_name[64], os_version[64]; /* /etc/os-release: NAME, VERSION_ID */
};

/* Where the host's own files are: "/proc/1/root" when that can be looked into, which in a container with
 * the host's processes is the host, else "". */
const char *host_root(void);

/* `root` is prefixed to the files' paths: "" or a test's directory, or the host's root as a container
 * sees it. */
void host_facts_read(const char *root, struct host_facts *ret);

/* Calls `add` for each attribute that is known. */
void host_facts_visit(const struct host_facts *facts,
		      void (*add)(void *userdata, const char *key, const char *text),
		      void *userdata);
