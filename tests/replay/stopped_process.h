/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program under ptrace, stopped where the test wants it.
 */
#pragma once

#include "unwinder.h"

#include <stdbool.h>
#include <sys/types.h>

struct stopped_process {
	pid_t pid;
	int pending_signal; /* to be delivered when it goes on */
	bool ended;
};

/* Starts the program with its output thrown away, running. Returns 0 or -errno. */
int stopped_process_start(struct stopped_process *process, char *const *arguments);

/* Stops it where it is. Returns 0, or -ESRCH when it has ended. */
int stopped_process_stop(struct stopped_process *process);

/* Carries out one instruction of a stopped process (a signal that is due is delivered). */
int stopped_process_step(struct stopped_process *process);

/* Lets a stopped process run. */
int stopped_process_continue(struct stopped_process *process);

int stopped_process_registers(const struct stopped_process *process, u64 *registers);

/* Kills it and waits. */
void stopped_process_end(struct stopped_process *process);
