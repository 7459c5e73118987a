/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes on the allocators of selected processes (bpf/heap.bpf.h): which process maps which of them,
 * and the links that hold the probes. A probe stands in no process but the one it is for, and goes with its
 * link's descriptor, however this process ends.
 */
#pragma once

#include "collect/binaries.h"
#include "collect/programs.h"

/* A file that a selected process maps. */
struct heap_mapping {
	uint64_t inode;
	uint32_t device, pid;
	int calls, returns; /* links; -1: not set. Of sessions: `calls` alone */
	bool is_settled;    /* probed, or there is nothing to probe */
};

struct heap_probes {
	struct programs *programs;
	const struct binaries *binaries;
	ARRAY(struct heap_mapping) mappings;
	ARRAY(uint32_t) pids; /* by index in `heap_processes`, which begins with 1; 0: free */
	uint64_t begin_ns;
	uint64_t probes, failed; /* set; refused by the kernel */
};

void heap_probes_init(struct heap_probes *heap, struct programs *programs,
		      const struct binaries *binaries, uint64_t now_ns);

/* A selected process maps a file. */
void heap_probes_on_mapping(struct heap_probes *heap, uint32_t pid,
			    const struct process_mapping *mapping);

/* Probes what has become known since; call it several times a second. */
void heap_probes_attach(struct heap_probes *heap, uint64_t now_ns);

/* Takes the probes of a process that has ended away, of one file at a call: each waits for the kernel. */
void heap_probes_expire(struct heap_probes *heap);

/* Takes all probes away. Idempotent. */
void heap_probes_detach(struct heap_probes *heap);

/* A probe's attach cookie, see HEAP_COOKIE_SIZE. `process`: index in `heap_processes`. */
uint64_t heap_probe_cookie(const struct allocator_probe *probe, uint32_t process);
