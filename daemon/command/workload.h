/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command of `record -- CMD`. It is forked at once, so that its process id is known, and waits
 * in front of exec until sampling has started: nothing it does is missed.
 */
#pragma once

#include "base/attributes.h"

#include <sys/types.h>

struct workload {
	pid_t pid;
	int barrier;	  /* closing it lets the child go; without a byte it gives up */
	int exec_failure; /* errno arrives here when exec fails; closed by exec otherwise */
	int pidfd;	  /* readable when the child has ended */
	bool ended;
	int status; /* of waitpid() */
};

#define WORKLOAD_NULL                                                     \
	{                                                                 \
		.pid = -1, .barrier = -1, .exec_failure = -1, .pidfd = -1 \
	}

/* Forks; with `keep_stdout_free` the command's standard output goes to standard error. Call before
 * signals are blocked. Returns 0 or -errno. */
int workload_fork(struct workload *workload, char **argv, bool keep_stdout_free);

/* Lets the command run. Returns 0, or -errno of its exec (-ENOENT: not found). */
int workload_start(struct workload *workload);

/* Passes a signal on, unless it is the terminal's (`is_from_kernel`), which has delivered it to the whole foreground
 * group already. */
void workload_signal(const struct workload *workload, int signal, bool is_from_kernel);

/* Collects the status; blocks until the command has ended. Returns 0 or -errno. */
int workload_wait(struct workload *workload);

/* The status a shell would give: the command's own, or 128 + signal. */
int workload_exit_status(const struct workload *workload);

/* A command that was not started ends without having run. */
void workload_close(struct workload *workload);
