/* SPDX-License-Identifier: Apache-2.0 */
/* See awaited.h. */
#include "command/awaited.h"

#include "base/file.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

static int on_end(struct loop_source *source, uint32_t events, void *userdata)
{
	struct awaited_process *process = userdata;
	process->source = loop_remove(source);
	if (--process->of->running == 0)
		loop_stop(process->of->loop, 0);
	return 0;
}

static int watch_one(struct awaited *awaited, uint32_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (fd < 0 && errno == ESRCH)
		return 0;
	awaited->running++;
	if (fd < 0) /* not known: then it never ends */
		return 0;
	_cleanup_fd_ int owned = fd;
	_cleanup_free_ struct awaited_process *process = calloc(1, sizeof(*process));
	if (!process || array_add(&awaited->processes, process) < 0)
		return -ENOMEM;
	*process = (struct awaited_process){.fd = take_fd(owned), .of = awaited};
	struct awaited_process *added = take_pointer(process);
	return loop_add_fd(awaited->loop, added->fd, EPOLLIN, on_end, added, &added->source);
}

int awaited_watch(struct awaited *awaited, struct loop *loop, const uint32_t *pids, size_t count)
{
	int r = 0;
	awaited->loop = loop;
	for (size_t i = 0; i < count && r == 0; i++)
		r = watch_one(awaited, pids[i]);
	return r;
}

bool awaited_have_ended(const struct awaited *awaited)
{
	return awaited->loop && awaited->running == 0;
}

void awaited_free(struct awaited *awaited)
{
	for (size_t i = 0; i < awaited->processes.count; i++) {
		struct awaited_process *process = awaited->processes.items[i];
		loop_remove(process->source);
		close_fd(process->fd);
		free(process);
	}
	array_free(&awaited->processes);
}
