/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes on the allocators of selected processes (bpf/heap.bpf.h): which process maps which of them. When
 * they are there is heap_windows.h's. A probe stands in no process but the one it is for, and goes with its
 * link's descriptor, however this process ends.
 */
#pragma once

#include "collect/binaries.h"
#include "collect/heap_windows.h"
#include "collect/programs.h"

/* A file that a selected process maps. */
struct heap_mapping {
	uint64_t inode;
	uint32_t device, pid;
	bool is_settled; /* probed, or there is nothing to probe */
};

struct heap_probes {
	struct programs *programs;
	const struct binaries *binaries;
	ARRAY(struct heap_mapping) mappings;
	struct heap_windows *windows;
	ARRAY(uint32_t) pids; /* by index in `heap_processes`, less 1 */
	uint32_t next_index;  /* of the oldest process, once all are in use */
	uint64_t begin_ns;
	uint64_t probes, failed; /* set; refused by the kernel */
};

void heap_probes_init(struct heap_probes *heap, struct programs *programs,
		      const struct binaries *binaries, struct heap_windows *windows, uint64_t now_ns);

/* A selected process maps a file. */
void heap_probes_on_mapping(struct heap_probes *heap, uint32_t pid,
			    const struct process_mapping *mapping);

/* Probes what has become known since; call it several times a second. */
void heap_probes_attach(struct heap_probes *heap, uint64_t now_ns);

/* Takes the probes of processes that have ended away. */
void heap_probes_expire(struct heap_probes *heap);

/* Forgets all processes. Their probes are those of the windows. */
void heap_probes_end(struct heap_probes *heap);

/* A probe's attach cookie, see HEAP_COOKIE_SIZE. `process`: index in `heap_processes`. */
uint64_t heap_probe_cookie(const struct allocator_probe *probe, uint32_t process);
