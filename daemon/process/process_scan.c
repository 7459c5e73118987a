/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc tells about processes: those that ran before the side-band stream was attached, and
 * those whose records were lost. A process can be gone, or be another one, between any two reads.
 */
#include "base/clock.h"
#include "base/file.h"
#include "process/process_state.h"
#include "process/process_table.h"
#include "process/shared_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_MAPS_LINES 100000 /* of one process */
#define TICK_SLACK_NS (20 * NS_PER_MS)

static int open_file(const struct process_table *table, uint32_t pid, const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%u/%s", table->proc_path, pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

ssize_t table_read_file(struct process_table *table, uint32_t pid, const char *name)
{
	_cleanup_fd_ int fd = open_file(table, pid, name);
	if (fd < 0)
		return fd;
	size_t used = 0;
	while (used < PROC_BUFFER_SIZE) {
		ssize_t n = read(fd, table->buffer + used, PROC_BUFFER_SIZE - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

bool table_pid_exists(const struct process_table *table, uint32_t pid)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%u", table->proc_path, pid);
	return access(path, F_OK) == 0;
}

/* By the boot clock, ns. */
static uint64_t start_by_ticks(const struct process_table *table, uint64_t start_ticks)
{
	return start_ticks * (NS_PER_SECOND / table->ticks_per_second);
}

/* Did a process that started then run at `time` (CLOCK_MONOTONIC)? */
static bool has_started_by(const struct process_table *table, uint64_t start_ticks, uint64_t time)
{
	/* The boot clock is ahead of the monotonic one by the time suspended so far; the process saw
	 * some of it. */
	uint64_t suspended = clock_ns(CLOCK_BOOTTIME) - monotonic_ns();
	return start_by_ticks(table, start_ticks) <= time + suspended + TICK_SLACK_NS;
}

bool start_ticks_match(const struct process_table *table, uint64_t start_ticks,
		       uint64_t start_time)
{
	return start_by_ticks(table, start_ticks) + TICK_SLACK_NS >= start_time &&
	       has_started_by(table, start_ticks, start_time);
}

static int read_stat(struct process_table *table, uint32_t pid, struct proc_stat *ret)
{
	ssize_t size = table_read_file(table, pid, "stat");
	return size < 0 ? (int)size
			: proc_stat_parse((struct slice){table->buffer, (size_t)size}, ret);
}

bool process_table_runs(struct process_table *table, uint32_t pid, uint64_t start_time)
{
	struct proc_stat stat;
	int r = read_stat(table, pid, &stat);
	if (r < 0)
		return table_pid_exists(table, pid); /* may run */
	return start_ticks_match(table, stat.start_ticks, start_time) &&
	       (stat.state != 'Z' || process_threads_go_on(table->proc_path, pid));
}

static ssize_t read_executable(const struct process_table *table, uint32_t pid, char *path,
			       size_t size)
{
	char link[PATH_MAX];
	snprintf(link, sizeof(link), "%s/%u/exe", table->proc_path, pid);
	ssize_t length = readlink(link, path, size);
	return length < 0 ? -errno : length;
}

static void read_inner_pid(struct process_table *table, struct process *process)
{
	char path[PATH_MAX];
	struct stat st;
	snprintf(path, sizeof(path), "%s/%u/ns/pid", table->proc_path, process->pid);
	if (table->pid_namespace && stat(path, &st) == 0 && st.st_ino == table->pid_namespace) {
		process->inner_pid = process->pid; /* cheaper than the text of status */
		return;
	}
	ssize_t size = table_read_file(table, process->pid, "status");
	struct proc_status status = {0};
	if (size > 0)
		proc_status_parse((struct slice){table->buffer, (size_t)size}, &status);
	process->inner_pid = status.inner_pid;
}

static int read_details(struct process_table *table, struct process *process,
			const struct proc_stat *stat)
{
	char path[PATH_MAX];
	process->parent_pid = stat->parent_pid;
	process->start_ticks = stat->start_ticks;
	process->kernel_task = stat->kernel_task;
	process_set_comm(process, stat->comm);
	if (stat->kernel_task)
		return 0;
	ssize_t length = read_executable(table, process->pid, path, sizeof(path));
	if (length > 0) {
		process_set_executable(process, path, (size_t)length);
		process->awaits_executable = false;
	}
	read_inner_pid(table, process);
	return 0;
}

int process_read(struct process_table *table, struct process *process)
{
	struct proc_stat stat;
	int r = read_stat(table, process->pid, &stat);
	if (r < 0)
		return r;
	if (process->start_time &&
	    !start_ticks_match(table, stat.start_ticks, process->start_time))
		return -ESRCH; /* the pid belongs to a later process already */
	return read_details(table, process, &stat);
}

/* The path must end in NUL for the callback: the newline behind it gives way. */
static void note_maps_line(struct process_table *table, struct process *process, char *line,
			   size_t length)
{
	struct maps_line parsed;
	if (maps_line_parse((struct slice){line, length}, &parsed) < 0) {
		table->statistics.bad_lines++;
		return;
	}
	if (!parsed.executable || parsed.path.length == 0)
		return;
	char *path = line + (parsed.path.bytes - line);
	path[maps_path_unescape(path, parsed.path.length)] = '\0';
	struct process_mapping mapping = {
		.start = parsed.start,
		.end = parsed.end,
		.offset = parsed.offset,
		.inode = parsed.inode,
		.device = parsed.device,
		.path = path,
	};
	table_note_mapping(table, process, &mapping);
}

static int read_maps(struct process_table *table, struct process *process)
{
	_cleanup_fd_ int fd = open_file(table, process->pid, "maps");
	if (fd < 0)
		return fd;
	char *buffer = table->buffer;
	size_t used = 0, lines = 0;
	bool skipping = false; /* inside a line longer than the buffer */
	for (;;) {
		ssize_t n = read(fd, buffer + used, PROC_BUFFER_SIZE - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		used += (size_t)n;
		char *at = buffer, *newline;
		while ((newline = memchr(at, '\n', used - (size_t)(at - buffer)))) {
			if (++lines > MAX_MAPS_LINES) {
				table->statistics.bad_lines++;
				return 0;
			}
			if (!skipping)
				note_maps_line(table, process, at, (size_t)(newline - at));
			skipping = false;
			at = newline + 1;
		}
		used -= (size_t)(at - buffer);
		memmove(buffer, at, used);
		if (used == PROC_BUFFER_SIZE) {
			table->statistics.bad_lines += skipping ? 0 : 1;
			skipping = true;
			used = 0;
		}
	}
}

int process_table_read_maps(struct process_table *table, uint32_t pid)
{
	struct process *process = table_newest(table, pid);
	if (!process)
		return -ESRCH;
	process_reference(process); /* a callback may make the table forget it */
	int r = read_maps(table, process);
	process_unreference(process);
	return r;
}

void process_table_each_alive(const struct process_table *table,
			      void (*visit)(void *userdata, struct process *process),
			      void *userdata)
{
	for (struct process *p = table->alive.first; p; p = p->aged_next)
		visit(userdata, p);
}

/* Records were lost: is the process that we know still the one that runs? */
static bool known_still_holds(struct process_table *table, struct process *known,
			      const struct proc_stat *stat)
{
	char path[PATH_MAX];
	if (known->start_ticks && known->start_ticks != stat->start_ticks)
		return false;
	if (known->start_time && !start_ticks_match(table, stat->start_ticks, known->start_time))
		return false;
	if (stat->kernel_task || !known->executable_path)
		return true;
	ssize_t length = read_executable(table, known->pid, path, sizeof(path));
	if (length <= 0)
		return true;
	size_t named = path_length_without_deleted(path, (size_t)length);
	return strlen(known->executable_path) == named &&
	       !memcmp(known->executable_path, path, named);
}

/* Is it another program in the same process? When a program began the number was that of its process, so whoever has it now
 * and ran by then is the same; the record of its fork may be forgotten. */
static bool is_same_process(const struct process_table *table, const struct process *known,
			    const struct proc_stat *stat)
{
	if (known->start_ticks)
		return known->start_ticks == stat->start_ticks;
	if (known->start_time)
		return start_ticks_match(table, stat->start_ticks, known->start_time);
	return !known->end && has_started_by(table, stat->start_ticks, known->begin);
}

static int scan_process(struct process_table *table, uint32_t pid, uint64_t now, bool want_maps)
{
	struct proc_stat stat;
	int r = read_stat(table, pid, &stat);
	if (r < 0 || ((stat.state == 'Z' || stat.state == 'X') && !process_threads_go_on(table->proc_path, pid)))
		return 0; /* gone, or as good as */
	struct process *known = table_newest(table, pid);
	if (known && !known->end && known_still_holds(table, known, &stat)) {
		known->scan = table->scan;
		known->start_ticks = stat.start_ticks;
		if (!known->executable_path && !stat.kernel_task)
			return read_details(table, known, &stat);
		return 0;
	}
	/* Known under another name: that one ends now. Otherwise it ran before we looked. */
	uint64_t life = known && is_same_process(table, known, &stat) ? known->life : 0;
	struct process *process = table_insert(table, pid, known ? now : 0);
	if (!process)
		return -ENOMEM;
	process->life = life ? life : process->life;
	process->scan = table->scan;
	process->has_threads = true; /* not known, so an exit of its main thread is checked */
	read_details(table, process, &stat);
	if (want_maps && !stat.kernel_task) {
		process_reference(process); /* a callback may make the table forget it */
		read_maps(table, process);
		process_unreference(process);
	}
	return 0;
}

/* Processes that the scan did not meet have ended; their exits were lost. */
static void end_unseen(struct process_table *table, uint64_t started)
{
	for (struct process *next, *p = table->alive.first; p; p = next) {
		next = p->aged_next;
		if (p->scan != table->scan && p->begin < started)
			table_end(table, p, started);
	}
}

int process_table_scan(struct process_table *table, bool want_maps)
{
	DIR *directory = opendir(table->proc_path);
	if (!directory)
		return -errno;
	uint64_t started = monotonic_ns();
	int r = 0;
	if (++table->scan == 0)
		table->scan = 1; /* 0 says "never seen" */
	const struct dirent *entry;
	while (r == 0 && (entry = readdir(directory))) {
		char *end;
		unsigned long pid = strtoul(entry->d_name, &end, 10);
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && *end == '\0' &&
		    pid <= INT32_MAX)
			r = scan_process(table, (uint32_t)pid, started, want_maps);
	}
	closedir(directory);
	if (r == 0)
		end_unseen(table, started);
	return r;
}
