/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes there are and were: names, executables, containers. Fed by the side-band stream and
 * by a scan of /proc made after the stream was attached (so that no process falls between).
 *
 * A struct process is one program in one process: an exec makes a new one, so that samples taken
 * before keep the old name. It is reference-counted and outlives the process; the table keeps it
 * findable for a grace period after its end, for samples still under way.
 */
#pragma once

#include "base/attributes.h"
#include "base/hash.h"
#include "process/sideband.h"

struct jit_map;
struct process_table;

struct process {
	uint32_t references;
	uint32_t pid;
	uint32_t parent_pid;	  /* 0: unknown */
	uint64_t start_time;	  /* CLOCK_MONOTONIC ns as the BPF side tells it; 0 until a sample came */
	uint64_t begin, end;	  /* when this program ran, CLOCK_MONOTONIC ns; end 0: still does */
	uint64_t number;	  /* no other program in the table has it */
	uint64_t life;		  /* the number of the first program of the process, kept over an exec */
	uint32_t exec_id;	  /* as samples tell it; meaningless until start_time is known */
	bool kernel_task;
	char comm[16];		  /* the main thread's name */
	char *executable_path;	  /* shared text; as the process sees it; NULL: unknown */
	const char *executable_name; /* its last component, or comm; never NULL */
	char *cgroup_path;	  /* v2 path, else the v1 one that names a container; NULL: unknown */
	char *container_id;	  /* 64 hex digits or what the engine uses; NULL: not in a container */
	char *declared;		  /* what its environment says of it (declared_attributes.h); shared
				   * text; NULL: nothing, or not looked at */
	uint32_t inner_pid;	  /* pid in the process's own namespace; 0: not looked up yet */
	struct jit_map *jit;	  /* made on first use by jit_map_of() */
	struct process *next;	  /* older program of the same pid, for the table */

	/* For the table alone. */
	struct process *aged_previous, *aged_next; /* in its list, oldest first */
	uint64_t start_ticks;	/* from /proc/PID/stat; 0: not read */
	uint64_t cgroup_id;	/* that cgroup_path was resolved for; 0: none yet */
	uint32_t scan;		/* the last scan that saw it alive */
	bool remembered;	/* still in the table */
	bool cgroup_checked;	/* cgroup_path is this program's own, not its parent's */
	bool environment_checked; /* declared is this program's own, not its parent's */
	bool awaits_executable; /* the first mapping after an exec names it */
	bool sampled;		/* a sample came: for whoever counts such processes */
	bool has_threads;	/* an exit of the main thread need not be the end */
};

struct process_limits {
	size_t processes; /* remembered at once, ended ones included; 0: default 65536 */
	uint64_t grace_ns; /* how long an ended process stays findable; 0: default 10 s */
};

struct process_statistics {
	uint64_t alive, remembered, created, evicted;
	uint64_t bad_lines; /* of /proc/PID/maps: not understood, or past the limit */
	uint64_t unnamed; /* samples' processes whose executable could not be found any more */
};

/* An executable mapping of a process, from /proc/PID/maps or an MMAP record. */
struct process_mapping {
	uint64_t start, end, offset, inode;
	uint32_t device; /* kernel encoding: major << 20 | minor */
	const char *path;
};

/* Called for each executable file mapping seen, so that binaries are known before their first
 * sample. `process` is alive or was a moment ago. */
typedef void (*process_mapping_callback)(void *userdata, struct process *process,
					 const struct process_mapping *mapping);

/* `proc_path` is "/proc" or a test's copy of it. `limits` NULL: defaults. Returns 0 or -errno. */
int process_table_new(const char *proc_path, const struct process_limits *limits,
		      process_mapping_callback on_mapping, void *userdata,
		      struct process_table **ret);
struct process_table *process_table_free(struct process_table *table);

/* Reads every process from /proc; those already known keep what they have. `read_maps` calls
 * on_mapping for each executable mapping (at most 100,000 lines a process; the rest is counted).
 * Returns 0 or -errno. */
int process_table_scan(struct process_table *table, bool read_maps);

/* Calls `visit` for each process that runs, in no order; it must not change the table. */
void process_table_each_alive(const struct process_table *table,
			      void (*visit)(void *userdata, struct process *process),
			      void *userdata);

/* Does a process run that has that number and started then (as struct process: `start_time`)? By /proc. */
bool process_table_runs(struct process_table *table, uint32_t pid, uint64_t start_time);

/* Calls on_mapping for what the process maps now, as process_table_scan() does. Returns 0 or -errno. */
int process_table_read_maps(struct process_table *table, uint32_t pid);

void process_table_apply(struct process_table *table, const struct sideband_record *record);

/*
 * The program a sample of `pid` at `time` belongs to. `start_time`, `exec_id` and `comm` are the
 * sample's own and correct what the table believes; a process nobody announced is made from /proc
 * and the sample. Returns NULL only when out of memory. The table keeps its reference; take one with
 * process_reference() to keep the process.
 */
struct process *process_table_find(struct process_table *table, uint32_t pid, uint64_t time,
				   uint64_t start_time, uint32_t exec_id, const char *comm);

/* Forgets processes that ended more than the grace period before `now`. */
void process_table_expire(struct process_table *table, uint64_t now);

/* Fills cgroup_path and container_id when they are not known yet, from /proc/PID/cgroup, else from
 * the v2 cgroup id that the sample carried. */
void process_table_resolve_cgroup(struct process_table *table, struct process *process,
				  uint64_t cgroup_id);

/* The path of a v2 cgroup from the hierarchy's root, until the next call; NULL: not known. */
const char *process_table_cgroup_path(struct process_table *table, uint64_t cgroup_id);

/* Notes the path of a v2 cgroup, from the hierarchy's root, for when it is gone. */
void process_table_note_cgroup(struct process_table *table, uint64_t cgroup_id, const char *path);

/* Fills `declared` from /proc/PID/environ, once for each program. What the parent declared stays where it
 * cannot be read any more. Of an environment only the first 64 KiB are looked at. */
void process_table_resolve_environment(struct process_table *table, struct process *process);

void process_table_get_statistics(const struct process_table *table,
				  struct process_statistics *ret);

struct process *process_reference(struct process *process);
struct process *process_unreference(struct process *process); /* accepts NULL, returns NULL */
