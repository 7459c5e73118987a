/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is true of this machine, by OpenTelemetry's semantic conventions (resource/host, resource/os):
 * host.name, host.id, host.arch, os.type, os.name, os.version.
 */
#pragma once

#include "base/attributes.h"

struct host_facts {
	char name[256]; /* as the kernel has it; each "" when it cannot be told */
	char id[64];	/* /etc/machine-id */
	char os_name[64], os_version[64]; /* /etc/os-release: NAME, VERSION_ID */
};

/* `root` is prefixed to the files' paths: "" or a test's directory, or the host's root as a container
 * sees it. */
void host_facts_read(const char *root, struct host_facts *ret);

/* Calls `add` for each attribute that is known. */
void host_facts_visit(const struct host_facts *facts,
		      void (*add)(void *userdata, const char *key, const char *text),
		      void *userdata);
