/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a process is, as attributes by OpenTelemetry's semantic conventions (1.44: resource/service,
 * resource/container, resource/k8s): what its cgroup says, the names of its pod, what it declares in its
 * environment. Where it does not name its service itself, the container or the systemd unit does.
 */
#pragma once

#include "process/pod_names.h"
#include "process/process.h"

struct origin_attribute {
	const char *key;
	const char *value; /* both valid during the call */
	bool is_guess;	   /* derived from a name: what an operator configured is better */
};

typedef void (*origin_callback)(void *userdata, const struct origin_attribute *attribute);

/* Calls `add` for each attribute that is known, each key once. `names` may be NULL. */
void process_origin_visit(const struct process *process, struct pod_names *names, uint64_t now_ns,
			  origin_callback add, void *userdata);

/* The name of the service that a systemd unit is: "nginx.service" is nginx, "app-org.x\x2dy-12.scope"
 * org.x-y; NULL for scopes of sessions, for user managers, and when out of memory. The caller frees. */
char *service_of_unit(struct slice unit);
