/* SPDX-License-Identifier: Apache-2.0 */
/* See jit_reading.h. Files are opened anew for each reading, so that none pins a container's file system. */
#include "process/jit_reading.h"

#include "base/clock.h"
#include "base/file.h"
#include "binary/parser_protocol.h"
#include "process/proc_text.h"
#include "process/process_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define STALE_SLACK_NS (2 * NS_PER_SECOND) /* between file times and the clocks */
#define COPY_SIZE 65536
/* Who looks a name up may wait for one excerpt's merge: of some 3,300 lines. A dump is mostly code. */
#define PERF_MAP_EXCERPT (2 * JIT_WINDOW)

static int identify(struct jit_reading *reading)
{
	char path[PATH_MAX];
	_cleanup_free_ char *text = NULL;
	size_t size;
	struct proc_status status;
	snprintf(path, sizeof(path), "%s/%u/status", reading->proc_path, reading->process.pid);
	int r = read_whole_file(path, 65536, &text, &size);
	if (r < 0)
		return r;
	proc_status_parse((struct slice){text, size}, &status);
	if (!status.has_user_id)
		return -ESRCH;
	reading->identity = (struct jit_identity){
		.inner_pid = status.inner_pid ? status.inner_pid : reading->process.pid,
		.user_id = status.user_id,
		.is_known = true,
	};
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

static int check_file(int fd, const struct jit_reading *reading, struct stat *ret)
{
	if (fstat(fd, ret) < 0)
		return -errno;
	if (ret->st_uid != 0 && ret->st_uid != reading->identity.user_id)
		return -EPERM;
	return is_stale(ret, &reading->process) ? -ENOENT : 0;
}

/* Opens a file of the process; once it is gone, in our own root. */
static int open_file(struct jit_reading *reading, const char *path, struct stat *ret_stat)
{
	const struct process *process = &reading->process;
	_cleanup_fd_ int fd = open_regular_in_root(reading->proc_path, process->pid, path, false);
	if (fd < 0 && process->end && reading->identity.inner_pid == process->pid)
		fd = open_regular_in_root(reading->proc_path, (uint32_t)getpid(), path, false);
	if (fd < 0)
		return fd;
	int r = check_file(fd, reading, ret_stat);
	if (r == -EPERM && identify(reading) == 0) /* it changed its user */
		r = check_file(fd, reading, ret_stat);
	return r < 0 ? r : take_fd(fd);
}

/* Returns the bytes copied, fewer where the file was cut meanwhile, or -errno. */
static ssize_t copy_bytes(int from, uint64_t offset, size_t size, int to)
{
	_cleanup_free_ char *buffer = malloc(COPY_SIZE);
	size_t copied = 0;
	if (!buffer)
		return -ENOMEM;
	while (copied < size) {
		ssize_t n = jit_read(from, buffer, MIN_OF(size - copied, (size_t)COPY_SIZE),
				     offset + copied);
		int r = n > 0 ? write_all(to, buffer, (size_t)n) : (int)n;
		if (r < 0)
			return r;
		if (n == 0)
			break;
		copied += (size_t)n;
	}
	return (ssize_t)copied;
}

/* The same file, so that who gets it cannot write to it. */
static int open_read_only(int file)
{
	char link[64];
	if (fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	int fd = open(link, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int copy_excerpt(int fd, const struct jit_tail *tail, size_t size, struct jit_excerpt *excerpt)
{
	_cleanup_fd_ int copy = parser_make_memfd();
	if (copy < 0)
		return copy;
	ssize_t n = copy_bytes(fd, tail->offset, size, copy);
	if (n <= 0)
		return (int)n;
	int r = open_read_only(copy);
	if (r < 0)
		return r;
	excerpt->file = r;
	excerpt->size = (size_t)n;
	return 0;
}

static bool is_done_with(const struct jit_tail *tail)
{
	return tail->given_up || tail->state & (JIT_CLOSED | JIT_BROKEN);
}

static int read_file(struct jit_reading *reading, enum jit_format format, const char *path)
{
	struct stat st;
	struct jit_tail *tail = &reading->tails[format];
	struct jit_excerpt *excerpt = &reading->excerpts[format];
	_cleanup_fd_ int fd = open_file(reading, path, &st);
	if (fd < 0)
		return fd;
	jit_tail_follow(tail, fd, &st);
	uint64_t available = (uint64_t)st.st_size - tail->offset;
	excerpt->source = (struct jit_source){available, format, tail->state};
	bool has_news = available > 0 && (uint64_t)st.st_size > tail->seen;
	if (!has_news || is_done_with(tail) || reading->byte_budget < JIT_WINDOW)
		return 0;
	size_t most = MIN_OF(reading->byte_budget, format == JIT_PERF_MAP ? PERF_MAP_EXCERPT : JIT_MAX_EXCERPT);
	size_t size = MIN_OF(available, most);
	int r = copy_excerpt(fd, tail, size, excerpt);
	reading->byte_budget -= excerpt->size;
	return r;
}

void jit_reading_run(struct jit_reading *reading)
{
	char path[64];
	int r = reading->identity.is_known ? 0 : identify(reading);
	for (int i = 0; i < JIT_FORMAT_COUNT; i++)
		reading->results[i] = r;
	if (r < 0)
		return;
	snprintf(path, sizeof(path), "/tmp/perf-%u.map", reading->identity.inner_pid);
	reading->results[JIT_DUMP] =
		reading->dump_path ? read_file(reading, JIT_DUMP, reading->dump_path) : -ENOENT;
	reading->results[JIT_PERF_MAP] = read_file(reading, JIT_PERF_MAP, path);
}

struct jit_reading *jit_reading_free(struct jit_reading *reading)
{
	if (!reading)
		return NULL;
	for (int i = 0; i < JIT_FORMAT_COUNT; i++)
		close_fd(reading->excerpts[i].file);
	free(reading->dump_path);
	free(reading);
	return NULL;
}
