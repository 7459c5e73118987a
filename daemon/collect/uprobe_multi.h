/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One link for many uprobes of one file (Linux 6.6), which attaches and detaches in milliseconds, and the
 * smallest program for it: one that counts. Without libbpf's help, whose support is younger than the
 * version this is built with.
 *
 * Where the kernel has no such links, a uprobe is a perf event. Never one with `inherit`: for each new thread
 * or child the kernel copies the event, and reads the file's path again, from the address that it had in this
 * process, but now in the probed one: fork() and pthread_create() there fail with EFAULT (seen on 6.18.44).
 */
#pragma once

#include "base/attributes.h"

enum uprobe_multi_kind {
	UPROBE_MULTI = 48,	   /* BPF_TRACE_UPROBE_MULTI, Linux 6.6 */
	UPROBE_MULTI_SESSION = 57, /* BPF_TRACE_UPROBE_SESSION, Linux 6.13 */
};

struct uprobe_multi_target {
	int file;		 /* the binary, open for reading */
	const uint64_t *offsets; /* in it */
	const uint64_t *cookies; /* what bpf_get_attach_cookie() gives at each; NULL: 0 */
	uint32_t count;
	uint32_t pid; /* the process; 0: all */
	bool returns; /* of the functions that begin at `offsets` */
};

/* Sets the probes. The program's expected attach type must be `kind`. Returns a descriptor whose closing
 * takes them away, or -errno: -EINVAL or -EOPNOTSUPP where the kernel has no such links, -EPERM. */
int uprobe_multi_attach(int program, enum uprobe_multi_kind kind,
			const struct uprobe_multi_target *target);

/* Counts hits: the cookie is the index of the count. */
struct uprobe_counter {
	int map, program;
	uint32_t count;
};

/* `count` counts, all 0, for links of `kind`. Returns 0 or -errno. Close with uprobe_counter_close(), also
 * after a failure. */
int uprobe_counter_open(uint32_t count, enum uprobe_multi_kind kind, struct uprobe_counter *ret);
void uprobe_counter_close(struct uprobe_counter *counter);

/* Copies the counts to `counts`. Returns 0 or -errno. */
int uprobe_counter_read(const struct uprobe_counter *counter, uint64_t *counts);
