/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tasks are profiled. The test is made in the kernel before any unwinding; a process that is not
 * selected costs only the test and its binaries are never opened. Several criteria must all hold;
 * several values of one criterion are alternatives.
 */
#pragma once

#include "base/array.h"
#include "base/attributes.h"
#include "base/text.h"

struct selection {
	ARRAY(uint32_t) pids;	     /* empty: every process */
	bool children;		     /* with the pids: also what they start from now on */
	ARRAY(char *) comm_patterns; /* shell patterns on the thread's name; owned */
	ARRAY(char *) exe_patterns;  /* shell patterns on the executable's path or base name; owned */
	ARRAY(char *) cgroup_paths;  /* directories of a cgroup file system or paths in it; owned */
	bool cgroups_may_come;	     /* one that is not there is waited for, and is no error */
	bool kernel_only;	     /* only ticks in kernel mode */
	bool user_only;		     /* only ticks in user mode */
};

/* Frees what it owns, not the selection. */
void selection_free(struct selection *selection);

/* Does the name match one of the patterns (or is there none)? */
bool selection_matches_comm(const struct selection *selection, const char *comm);

/* Same for an executable's path or its last component; NULL matches only when there is no pattern. */
bool selection_matches_executable(const struct selection *selection, const char *path);

/* Can any thread, or executable, have what the pattern says? If not, *problem says what to write instead. */
bool selection_check_comm(const char *pattern, struct text *problem);
bool selection_check_executable(const char *pattern, struct text *problem);

/* Is every process selected? */
bool selection_is_whole_host(const struct selection *selection);
