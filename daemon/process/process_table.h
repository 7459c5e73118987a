/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the process table share: the table itself and the steps that both the side-band
 * stream and the /proc scan take.
 */
#pragma once

#include "process/cgroup_paths.h"
#include "process/proc_text.h"
#include "process/process.h"

/* Oldest first. */
struct process_list {
	struct process *first, *last;
	size_t count;
};

struct process_table {
	char *proc_path;
	struct process_limits limits;
	process_mapping_callback on_mapping;
	void *userdata;
	struct hash by_pid; /* pid -> the pid's newest program */
	struct process_list alive; /* least recently heard of first */
	struct process_list ended; /* in order of their end */
	struct cgroup_paths *cgroups;
	uint64_t pid_namespace; /* inode of our own; 0: unknown */
	uint64_t ticks_per_second;
	uint32_t scan; /* number of the scan under way or done last */
	char *buffer; /* for reading /proc, PROC_BUFFER_SIZE */
	struct process_statistics statistics;
};

#define PROC_BUFFER_SIZE 65536

/* The pid's newest program, or NULL. */
struct process *table_newest(const struct process_table *table, uint32_t pid);

/* The pid's program at `time`: the newest that began by then. NULL: none had begun. */
struct process *table_at(const struct process_table *table, uint32_t pid, uint64_t time);

/* A new program of `pid` from `begin` on, in its place among the pid's programs; those that ran
 * before end there. Returns NULL when out of memory. The table owns it. */
struct process *table_insert(struct process_table *table, uint32_t pid, uint64_t begin);

/* Marks the end; it stays findable for the grace period. */
void table_end(struct process_table *table, struct process *process, uint64_t time);

/* Sets the name of the executable from a path as the kernel prints it. */
void process_set_executable(struct process *process, const char *path, size_t length);
void process_set_comm(struct process *process, const char *comm);

/* Tells on_mapping, and takes note of jitdump files and of the executable after an exec. */
void table_note_mapping(struct process_table *table, struct process *process,
			const struct process_mapping *mapping);

/* Fills in what /proc/PID says now. Returns 0, or -errno when the process is gone. */
int process_read(struct process_table *table, struct process *process);

/* Is what /proc/PID/stat told a process that started at `start_time` (CLOCK_MONOTONIC)? */
bool start_ticks_match(const struct process_table *table, uint64_t start_ticks,
		       uint64_t start_time);

/* Reads a small file of a process into the table's buffer. Returns its length or -errno. */
ssize_t table_read_file(struct process_table *table, uint32_t pid, const char *name);

/* Whether the process is still there, with whatever program. */
bool table_pid_exists(const struct process_table *table, uint32_t pid);
