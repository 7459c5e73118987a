/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes whose threads have trace contexts (bpf/context.bpf.h): which they are, and where in their threads
 * the BPF side finds them.
 *
 * A process is looked into when it maps a file with the variable that leads to a context, and has been sampled;
 * then less and less often while it says of no contexts, and now and then while it does, since a library may go.
 * Programs that it forks have their memory where it has its own, without mapping anything: they are looked for too.
 */
#pragma once

#include "base/loop.h"
#include "collect/binaries.h"
#include "collect/programs.h"
#include "process/process.h"

/* Looked into at the same time; more are counted. */
#define CONTEXTS_MAX_PROCESSES 1024

struct contexts;

/* Since the beginning. */
struct contexts_statistics {
	uint64_t refused; /* processes that were too many */
	uint64_t failed;  /* looks at a process of which what it says of its contexts was not understood */
};

/* All but the result stays the caller's and must outlive it. Returns 0 or -errno. */
int contexts_new(struct loop *loop, struct programs *programs, const struct binaries *binaries,
		 struct process_table *table, struct contexts **ret);
/* Accepts NULL, as all that follow. */
struct contexts *contexts_free(struct contexts *contexts);

/* A process maps a file. */
void contexts_on_mapping(struct contexts *contexts, struct process *process,
			 const struct process_mapping *mapping);

/* Looks into processes whose time has come; to be called with each drain. */
void contexts_update(struct contexts *contexts, uint64_t now_ns);

/* Of now, and since the start. */
void contexts_get_statistics(const struct contexts *contexts, struct contexts_statistics *ret);
