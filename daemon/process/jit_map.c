/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what is known of one process's JIT code, and tails the files it comes from. Files are opened
 * anew for each update, so that none pins a container's file system; a file with another inode, or
 * shorter than what was read of it, is read again from its start.
 *
 * An update may run in another thread, as their file system may hang. What it works on (the reader) is then
 * lent to it, and nothing is known of the process's code until it is back; from one that is late it never
 * comes back.
 */
#include "process/jit_map.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "process/jit_codes.h"
#include "process/jitdump.h"
#include "process/perf_map.h"
#include "process/proc_text.h"
#include "process/process_open.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_LIMIT (32U << 20) /* bytes a process */
#define PERF_MAP_WINDOW 65536	 /* also the longest line */
#define STALE_SLACK_NS (2 * NS_PER_SECOND) /* between file times and the clocks */

#define TAIL_LAST 64

struct tail {
	dev_t device;
	ino_t inode;
	uint64_t offset;
	bool skipping; /* inside a line longer than the window */
	uint8_t last[TAIL_LAST]; /* the bytes before the offset, as far as there are any */
};

struct jit_reader {
	struct jit_codes codes;
	struct tail perf_map_tail, dump_tail;
	struct jitdump dump;
	uint32_t inner_pid;
	uint32_t user_id;
	bool identified;
	uint64_t previous_update; /* the last time everything was read */
	bool behind;		  /* the byte budget ended before the file did */
	struct jit_statistics statistics;
};

struct jit_map {
	struct jit_reader *reader; /* NULL: lent */
	bool is_lent;		   /* it may come back */
	char *dump_path; /* as the process sees it; NULL: none */
	struct jit_statistics statistics; /* as they were when the reader was lent */
};

struct jit_update {
	struct jit_reader *reader;
	struct process process; /* what it is asked of: no references, nothing owned */
	char *dump_path; /* NULL: none */
	const char *proc_path;
	uint64_t now;
	size_t byte_budget;
	int result;
};

static struct jit_reader *reader_free(struct jit_reader *reader)
{
	if (reader)
		jit_codes_free(&reader->codes);
	free(reader);
	return NULL;
}

struct jit_map *jit_map_of(struct process *process)
{
	if (process->jit)
		return process->jit;
	struct jit_map *map = calloc(1, sizeof(*map));
	if (map)
		map->reader = calloc(1, sizeof(*map->reader));
	if (!map || !map->reader)
		return jit_map_free(map);
	map->reader->codes.memory_limit = MEMORY_LIMIT;
	process->jit = map;
	return map;
}

struct jit_map *jit_map_free(struct jit_map *map)
{
	if (!map)
		return NULL;
	reader_free(map->reader);
	free(map->dump_path);
	free(map);
	return NULL;
}

void jit_map_set_dump(struct jit_map *map, const char *path)
{
	if (map->dump_path && !strcmp(map->dump_path, path))
		return;
	char *copy = strndup(path, path_length_without_deleted(path, strlen(path)));
	if (!copy)
		return;
	free(map->dump_path);
	map->dump_path = copy;
}

/* Who the process is in its own pid namespace, and whose files it may have written. */
static int identify(struct jit_reader *reader, const struct process *process, const char *proc_path)
{
	char path[PATH_MAX];
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct proc_status status;
	snprintf(path, sizeof(path), "%s/%u/status", proc_path, process->pid);
	int r = read_whole_file(path, 65536, &text, &size);
	if (r < 0)
		return r;
	proc_status_parse((struct slice){text, size}, &status);
	if (!status.has_user_id)
		return -ESRCH;
	reader->inner_pid = status.inner_pid ? status.inner_pid : process->pid;
	reader->user_id = status.user_id;
	reader->identified = true;
	return 0;
}

/* Left by an earlier process with the same pid: last written before this one began. */
static bool is_stale(const struct stat *st, const struct process *process)
{
	uint64_t began = process->begin ? process->begin : process->start_time;
	uint64_t written = (uint64_t)st->st_mtim.tv_sec * NS_PER_SECOND +
			   (uint64_t)st->st_mtim.tv_nsec;
	uint64_t now = monotonic_ns();
	return began && began < now &&
	       written + STALE_SLACK_NS < realtime_ns() - (now - began);
}

static int check_file(int fd, const struct jit_reader *reader, const struct process *process,
		      struct stat *ret)
{
	if (fstat(fd, ret) < 0)
		return -errno;
	if (ret->st_uid != 0 && ret->st_uid != reader->user_id)
		return -EPERM;
	return is_stale(ret, process) ? -ENOENT : 0;
}

/* Opens a file of the process; once it is gone, in our own root. */
static int open_file(struct jit_reader *reader, const struct process *process, const char *proc_path,
		     const char *path, struct stat *ret_stat)
{
	_cleanup_fd_ int fd = open_regular_in_root(proc_path, process->pid, path, false);
	if (fd < 0 && process->end && reader->inner_pid == process->pid) {
		close_fd(fd);
		fd = open_regular_in_root(proc_path, (uint32_t)getpid(), path, false);
	}
	if (fd < 0)
		return fd;
	int r = check_file(fd, reader, process, ret_stat);
	if (r == -EPERM && identify(reader, process, proc_path) == 0) /* it changed its user */
		r = check_file(fd, reader, process, ret_stat);
	return r < 0 ? r : take_fd(fd);
}

static ssize_t read_window(int fd, void *buffer, size_t size, uint64_t offset)
{
	ssize_t n;
	do
		n = pread(fd, buffer, size, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Notes what stands before the offset. */
static void tail_remember(struct tail *tail, int fd)
{
	uint64_t size = MIN_OF(tail->offset, (uint64_t)TAIL_LAST);
	read_window(fd, tail->last, size, tail->offset - size);
}

/* Inode numbers are used again at once by some file systems, and a file may be rewritten in place:
 * what stood before the offset must stand there still. */
static bool tail_continues(const struct tail *tail, int fd, const struct stat *st)
{
	uint8_t last[TAIL_LAST];
	uint64_t size = MIN_OF(tail->offset, (uint64_t)TAIL_LAST);
	return tail->inode == st->st_ino && tail->device == st->st_dev &&
	       (uint64_t)st->st_size >= tail->offset &&
	       read_window(fd, last, size, tail->offset - size) == (ssize_t)size &&
	       !memcmp(last, tail->last, size);
}

/* Returns true when the file is another one than last time. */
static bool tail_follow(struct tail *tail, int fd, const struct stat *st)
{
	if (tail_continues(tail, fd, st))
		return false;
	*tail = (struct tail){.device = st->st_dev, .inode = st->st_ino};
	return true;
}

static void add_code(void *userdata, const struct jit_code *code)
{
	struct jit_reader *reader = userdata;
	jit_codes_add(&reader->codes, code->start, code->size, code->name, code->name_length,
		      reader->previous_update, JIT_NO_LINES);
}

/* Consumes what it can of a window; returns how far. */
static size_t parse_perf_map_window(struct jit_reader *reader, const char *bytes, size_t size, bool full)
{
	struct tail *tail = &reader->perf_map_tail;
	size_t skipped = 0;
	if (tail->skipping) {
		const char *newline = memchr(bytes, '\n', size);
		if (!newline)
			return size;
		skipped = (size_t)(newline - bytes) + 1;
		tail->skipping = false;
	}
	size_t used = skipped + perf_map_parse(bytes + skipped, size - skipped, add_code, reader,
					       &reader->statistics.bad_lines);
	if (used == 0 && full) {
		reader->statistics.bad_lines++;
		tail->skipping = true;
		return size;
	}
	return used;
}

/* What is left of a file: less than a window is a line or record still being written. */
static void note_rest(struct jit_reader *reader, uint64_t bytes, size_t window)
{
	if (bytes < window)
		return;
	reader->behind = true;
	reader->statistics.bytes_unread += bytes;
}

static int update_perf_map(struct jit_reader *reader, const struct process *process,
			   const char *proc_path, size_t byte_budget)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "/tmp/perf-%u.map", reader->inner_pid);
	_cleanup_fd_ int fd = open_file(reader, process, proc_path, path, &st);
	if (fd < 0)
		return fd;
	tail_follow(&reader->perf_map_tail, fd, &st);
	if ((uint64_t)st.st_size == reader->perf_map_tail.offset)
		return 0;
	_cleanup_free_ char *window = malloc(PERF_MAP_WINDOW);
	if (!window)
		return -ENOMEM;
	for (size_t read = 0; read < byte_budget;) {
		size_t wanted = MIN_OF(PERF_MAP_WINDOW, byte_budget - read);
		ssize_t n = read_window(fd, window, wanted, reader->perf_map_tail.offset);
		if (n <= 0)
			break;
		size_t used = parse_perf_map_window(reader, window, (size_t)n, n == PERF_MAP_WINDOW);
		reader->perf_map_tail.offset += used;
		reader->statistics.bytes_read += used;
		read += (size_t)n;
		if (used == 0)
			break;
	}
	tail_remember(&reader->perf_map_tail, fd);
	note_rest(reader, (uint64_t)st.st_size - reader->perf_map_tail.offset, PERF_MAP_WINDOW);
	return 0;
}

static int update_dump(struct jit_reader *reader, const struct jit_update *u)
{
	struct stat st;
	_cleanup_fd_ int fd = open_file(reader, &u->process, u->proc_path, u->dump_path, &st);
	if (fd < 0)
		return fd;
	struct tail *tail = &reader->dump_tail;
	if (tail_follow(tail, fd, &st))
		reader->dump = (struct jitdump){0};
	if (reader->dump.broken || reader->dump.closed)
		return 0;
	_cleanup_free_ uint8_t *window = malloc(JITDUMP_WINDOW);
	if (!window)
		return -ENOMEM;
	uint64_t bad = reader->dump.bad_records;
	for (size_t read = 0; read < u->byte_budget && tail->offset < (uint64_t)st.st_size;) {
		uint64_t available = (uint64_t)st.st_size - tail->offset;
		size_t wanted = MIN_OF(JITDUMP_WINDOW, available);
		ssize_t n = read_window(fd, window, wanted, tail->offset);
		if (n <= 0)
			break;
		uint64_t used = jitdump_parse(&reader->dump, window, (size_t)n,
					      MAX_OF(available, (uint64_t)n), &reader->codes,
					      reader->previous_update, u->now);
		tail->offset += used;
		reader->statistics.bytes_read += MIN_OF(used, (uint64_t)n);
		read += (size_t)n;
		if (used == 0)
			break;
	}
	tail_remember(tail, fd);
	reader->statistics.bad_lines += reader->dump.bad_records - bad;
	if (!reader->dump.broken && !reader->dump.closed && tail->offset < (uint64_t)st.st_size)
		note_rest(reader, (uint64_t)st.st_size - tail->offset, JITDUMP_WINDOW);
	return 0;
}

void jit_update_run(struct jit_update *u)
{
	struct jit_reader *reader = u->reader;
	if (!reader->identified) {
		u->result = identify(reader, &u->process, u->proc_path);
		if (u->result < 0)
			return;
	}
	uint64_t before = reader->codes.added;
	reader->behind = false;
	reader->statistics.bytes_unread = 0;
	int dumped = u->dump_path ? update_dump(reader, u) : -ENOENT;
	int mapped = update_perf_map(reader, &u->process, u->proc_path, u->byte_budget);
	u->result = jit_codes_commit(&reader->codes);
	if (u->result < 0)
		return;
	if (!reader->behind) /* what comes next is written after this look */
		reader->previous_update = u->now;
	if (reader->codes.added != before)
		u->result = 1;
	else
		u->result = dumped == 0 || mapped == 0 ? 0 : mapped;
}

/* ---- Updates --------------------------------------------------------------------------------- */

struct jit_update *jit_update_new(struct jit_map *map, const struct process *process,
				  const char *proc_path, uint64_t now, size_t byte_budget)
{
	struct jit_update *u = map->reader ? calloc(1, sizeof(*u)) : NULL;
	if (!u)
		return NULL;
	*u = (struct jit_update){
		.process = {.pid = process->pid, .begin = process->begin, .end = process->end,
			    .start_time = process->start_time},
		.proc_path = proc_path,
		.now = now,
		.byte_budget = byte_budget,
	};
	if (map->dump_path && !(u->dump_path = strdup(map->dump_path)))
		return jit_update_free(u);
	jit_map_get_statistics(map, &map->statistics);
	u->reader = take_pointer(map->reader);
	map->is_lent = true;
	return u;
}

int jit_map_take_back(struct jit_map *map, struct jit_update *u)
{
	map->is_lent = false;
	map->reader = take_pointer(u->reader);
	return u->result;
}

void jit_map_give_up(struct jit_map *map)
{
	map->is_lent = false;
	map->statistics.given_up = 1;
}

bool jit_map_is_lent(const struct jit_map *map)
{
	return map->is_lent;
}

struct jit_update *jit_update_free(struct jit_update *u)
{
	if (!u)
		return NULL;
	reader_free(u->reader);
	free(u->dump_path);
	free(u);
	return NULL;
}

int jit_map_update(struct jit_map *map, const struct process *process, const char *proc_path,
		   uint64_t now, size_t byte_budget)
{
	struct jit_update *u = jit_update_new(map, process, proc_path, now, byte_budget);
	if (!u)
		return -ENOMEM;
	jit_update_run(u);
	int r = jit_map_take_back(map, u);
	jit_update_free(u);
	return r;
}

static void find_line(const struct jit_codes *codes, const struct jit_piece *piece,
		      uint64_t address, struct jit_symbol *ret)
{
	ret->file = "";
	ret->line = 0;
	if (piece->lines == JIT_NO_LINES)
		return;
	struct jit_line_range range = codes->line_ranges.items[piece->lines];
	const struct jit_line *lines = codes->lines.items + range.first;
	uint64_t offset = address - (piece->start - piece->lead);
	size_t low = 0, high = range.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (lines[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low > 0) {
		ret->file = strings_get(&codes->names, lines[low - 1].file);
		ret->line = lines[low - 1].line;
	}
}

bool jit_map_find(const struct jit_map *map, uint64_t address, uint64_t time,
		  struct jit_symbol *ret)
{
	struct jit_piece piece;
	const struct jit_codes *codes = map->reader ? &map->reader->codes : NULL;
	if (!codes || !jit_codes_find(codes, address, time, &piece))
		return false;
	ret->name = strings_get(&codes->names, piece.name);
	ret->start = piece.start - piece.lead;
	ret->size = piece.code_size;
	ret->generation = piece.generation;
	find_line(codes, &piece, address, ret);
	return true;
}

void jit_map_get_statistics(const struct jit_map *map, struct jit_statistics *ret)
{
	const struct jit_reader *reader = map->reader;
	*ret = reader ? reader->statistics : map->statistics;
	if (!reader)
		return;
	ret->entries = reader->codes.base.count + reader->codes.recent.count;
	ret->dropped = reader->codes.dropped;
}
