/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the threads of a process have their trace contexts: read from its memory, through /proc/PID/mem. What is
 * there may change meanwhile and may hang (memory of a file system that does not answer), so it is read in a
 * thread, and used only to tell the BPF side where to look.
 */
#pragma once

#include "binary/facts.h"
#include "bpf/wire.h"

/* One reading. The question: which process, and the variable that one of its files has, with the difference
 * between addresses in the process and in the file. */
struct thread_context_reading {
	const char *proc_path; /* "/proc" */
	uint32_t pid;
	struct thread_variable variable;
	uint64_t bias;
	/* 0; -ENODATA: the process says of no contexts that are read here; -EBADMSG: what it says is not
	 * understood; -EAGAIN: it is being written; or -errno of reading. */
	int error;
	struct context_place place; /* the answer, where error is 0 */
};

/* May block. */
void thread_context_read(struct thread_context_reading *reading);
