/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a collector, for the files collector*.c alone. */
#pragma once

#include "base/hash.h"
#include "base/offload.h"
#include "collect/collector.h"
#include "collect/cpu_events.h"
#include "collect/generated_code.h"
#include "collect/growth_events.h"
#include "collect/heap_windows.h"
#include "collect/held_stacks.h"
#include "collect/selected_cgroups.h"
#include "process/sideband.h"

#include <bpf/libbpf.h>

struct collector {
	struct loop *loop;
	const struct selection *selection;
	struct collector_options options;
	struct programs programs;
	struct cpu_events events;
	struct growth_events growth;
	struct heap_probes heap;
	struct heap_table heap_table;
	struct heap_windows *heap_windows; /* NULL: no allocators are probed */
	struct heap_windows_statistics past_windows; /* of those before the last pause */
	bool heap_is_rare;   /* their windows are */
	double heap_allowed; /* what they may cost, CPU ns a second; INFINITY: no limit */
	uint64_t heap_due_ns; /* when they are looked at next, at the earliest */
	bool heap_is_paused; /* they are to be, but not now */
	struct hash cgroup_pids; /* in the selected cgroups, where allocators are probed */
	struct hash heap_cgroup_pids; /* in those selected for that */
	uint64_t cgroup_pids_ns; /* when that was read */
	struct sideband *sideband;
	struct generated_code generated_code;
	struct process_table *processes;
	struct offload *offload; /* opens files */
	struct parser *parser;
	struct binary_store *store;
	struct binaries binaries;
	struct contexts *contexts; /* NULL: nobody asks */
	struct ring_buffer *ring;
	struct loop_source *ring_source, *timer;
	int statistics_fd; /* open: the kernel counts the programs' run time */
	bool whole_host;
	bool only_by_pid; /* selected by process, and by nothing else */
	bool running, attached;
	bool is_following; /* the side-band is read, or will be when attached */
	uint64_t cgroup_ids[MAX_SELECTED_CGROUPS]; /* of the selection's paths; 0: not there */
	uint64_t last_expiry;
	uint64_t sideband_seen_ns; /* up to when the side-band was read */
	uint64_t drain_interval_ns;
	unsigned quiet_drains; /* in a row without anything but samples of known processes */
	bool met_news;	       /* since the last drain */
	struct held_stacks held_stacks;
	uint64_t settle_ns; /* when every CPU ticks at the new rate; 0: no change is under way */
	unsigned safe_mode; /* what is left out: bits of enum safe_mode_feature */
	uint64_t rejected, rejected_ns, bad_records;
	uint64_t rejected_growth, rejected_growth_bytes;
};

/* ---- collector_records.c: what the kernel side wrote ------------------------------------------ */

/* Handles one record of the ring; `userdata`: the collector. Returns 0. */
int collector_on_record(void *userdata, void *data, size_t size);

/* Reads the ring by itself from now on. Returns 0 or -errno. */
int collector_start_draining(struct collector *c);

/* Other groups may have the selected paths by now. */
void collector_refresh_cgroups(struct collector *c);

/* ---- collector_attach.c: events, tracepoints, side-band --------------------------------------- */

/* Starts all of them. Returns 0 or -errno with *failure filled. */
int collector_attach_all(struct collector *c, struct collect_failure *failure);

/* Reads /proc for the processes that are there. Returns 0 or -errno with *failure filled. */
int collector_scan(struct collector *c, struct collect_failure *failure);

/* Are binaries opened before they are met? */
bool collector_wants_maps(const struct collector *c);

/* ---- collector_heap.c: allocators ------------------------------------------------------------- */

/* Returns 0, or -errno with *failure filled where this kernel or our rights do not let us probe. */
int collector_require_heap(unsigned safe_mode, struct collect_failure *failure);

/* Both have nothing to do without options.heap. Returns 0 or -errno. */
int collector_start_heap(struct collector *c);
void collector_pause_heap(struct collector *c);
void collector_get_heap_statistics(struct collector *c, struct heap_windows_statistics *ret);
/* As often as the budget has room for it, or at once. */
void collector_update_heap(struct collector *c, uint64_t now, bool at_once);
