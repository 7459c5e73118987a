/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: a recording that does not end, whose profile goes to the exporters at every interval; the
 * configuration, read again at SIGHUP; and what the service manager is told.
 *
 * Signals: TERM and INT take the last profile, give the exporters up to five seconds and end with 0; a
 * second one ends at once. HUP reads the configuration again: everything that can change does, or, when
 * anything is wrong, nothing. USR2 is the kill switch.
 */
#pragma once

#include "service/configuration.h"

struct daemon;

/* Reads the configuration, loads, starts sampling. What went wrong has been logged. `sources` and what
 * it points to must live as long as the daemon. Returns 0, -EINVAL for the configuration, -EPERM,
 * -EACCES, -ENOSYS or -EOPNOTSUPP for what this host or user lacks, or another -errno. */
int daemon_new(const struct configuration_sources *sources, struct daemon **ret);

/* Runs until a signal ends it. Returns 0 or -errno. */
int daemon_run(struct daemon *daemon);

struct daemon *daemon_free(struct daemon *daemon);
