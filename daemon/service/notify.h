/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service tells its manager: datagrams of NAME=VALUE lines to $NOTIFY_SOCKET, as described in
 * sd_notify(3). Without the variable nothing is sent and every call does nothing.
 */
#pragma once

#include "base/attributes.h"

struct notifier {
	int fd; /* -1: there is no manager */
	uint64_t watchdog_ns; /* a sign of life is expected this often; 0: it is not */
};

#define NOTIFIER_NONE {.fd = -1}

/* Takes the variables NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them, so that children
 * do not speak for us. Returns 0, also without a manager, or -errno. */
int notifier_open(struct notifier *notifier);
void notifier_close(struct notifier *notifier);

/* Sends the lines, best effort: a manager that does not listen must not stop the service. */
void notifier_send(const struct notifier *notifier, const char *format, ...) _printf_(2, 3);
