/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One parser child as a process: started, killed, waited for, its CPU time counted. A killed child
 * may take a while to go (it may sit in the page cache of a dead network file system), so its end is
 * an event and never waited for on the loop.
 */
#pragma once

#include "base/attributes.h"
#include "base/loop.h"

#include <sys/types.h>

struct parser_process;

/* The process has ended and was waited for. `status` is wait(2)'s, -1 if somebody else took it. */
typedef void (*parser_process_exit_callback)(struct parser_process *process, int status,
					     void *userdata);

struct parser_process {
	pid_t pid;
	int pidfd;
	int socket; /* ours; -1 once closed */
	struct loop_source *exit_source;
	parser_process_exit_callback on_exit;
	void *userdata;
	uint64_t cpu_ns; /* all it used; known when it has ended */
	bool ended;
	struct parser_process *next; /* for the owner's list */
};

/* Starts /proc/self/exe with `argv`, its end of the socket at PARSER_CHILD_SOCKET, /dev/null at 0
 * to 2, no environment and a session of its own (Ctrl-C is not for it). Returns 0 or -errno. */
int parser_process_start(struct loop *loop, const char *const *argv,
			 parser_process_exit_callback on_exit, void *userdata,
			 struct parser_process **ret);

/* Closes the socket and sends SIGKILL; on_exit follows from the loop. */
void parser_process_kill(struct parser_process *process);

/* CPU time used so far, user and system. */
uint64_t parser_process_cpu_ns(const struct parser_process *process);

/* Did somebody stop it (SIGSTOP)? */
bool parser_process_is_stopped(const struct parser_process *process);

/* Kills it if it runs and waits up to a second for its end; never calls on_exit. Accepts NULL. */
struct parser_process *parser_process_free(struct parser_process *process);
