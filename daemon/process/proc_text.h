/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pure parsers of the texts below /proc/PID. They take bytes that need not end in NUL, never read
 * behind them, and accept whatever a program can make the kernel print: names with blanks,
 * parentheses and newlines, paths that end in " (deleted)".
 *
 * Sources: proc_pid_maps(5), proc_pid_stat(5), proc_pid_status(5), cgroups(7); fs/proc/task_mmu.c
 * show_map_vma(), fs/seq_file.c mangle_path() (only newlines are escaped in maps).
 */
#pragma once

#include "base/attributes.h"

/* A piece of the text that was parsed. */
struct slice {
	const char *bytes;
	size_t length;
};

/* Cuts the next line (without its newline) off `rest`. Returns false at the end. */
bool slice_next_line(struct slice *rest, struct slice *ret_line);
bool slice_equals(struct slice slice, const char *text);
bool slice_ends_with(struct slice slice, const char *text);

struct maps_line {
	uint64_t start, end, offset, inode;
	uint32_t device; /* major << 20 | minor */
	bool executable;
	struct slice path; /* as printed: newlines are \012; empty for anonymous memory */
};

/* One line of /proc/PID/maps, without its newline. Returns 0 or -EINVAL. */
int maps_line_parse(struct slice line, struct maps_line *ret);

/* Turns \012 into newlines in place. Returns the new length. */
size_t maps_path_unescape(char *path, size_t length);

/* The length of a path without the kernel's " (deleted)". */
size_t path_length_without_deleted(const char *path, size_t length);

struct proc_stat {
	uint32_t pid, parent_pid;
	uint64_t start_ticks; /* of the boot clock, _SC_CLK_TCK a second */
	bool kernel_task;
	char state;
	char comm[16];
};

/* The text of /proc/PID/stat. Returns 0 or -EINVAL. */
int proc_stat_parse(struct slice text, struct proc_stat *ret);

struct proc_status {
	uint32_t inner_pid; /* in the process's own pid namespace; 0: not told */
	uint32_t user_id;   /* effective */
	bool has_user_id;
};

/* The text of /proc/PID/status. */
void proc_status_parse(struct slice text, struct proc_status *ret);

struct cgroup_line {
	bool unified;	     /* the v2 hierarchy */
	struct slice controllers; /* "cpu,cpuacct", "name=systemd"; empty for v2 */
	struct slice path;   /* without " (deleted)" */
};

/* One line of /proc/PID/cgroup. Returns 0 or -EINVAL. */
int cgroup_line_parse(struct slice line, struct cgroup_line *ret);

/* Is `controller` one of the comma-separated `controllers`? */
bool controllers_contain(struct slice controllers, const char *controller);
