/* SPDX-License-Identifier: Apache-2.0 */
/* See parser_process.h. The pidfd tells the end, so no SIGCHLD handler is needed or disturbed. */
#include "binary/parser_process.h"

#include "base/clock.h"
#include "base/file.h"
#include "binary/parser_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longer than the kernel needs to take down the largest child. */
#define END_TIMEOUT_MS 1000

/* Waits without blocking. Returns false while it still runs. */
static bool process_reap(struct parser_process *process, int *ret_status)
{
	struct rusage usage = {0};
	int status = -1;
	pid_t r;
	do
		r = wait4(process->pid, &status, WNOHANG, &usage);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return false;
	process->ended = true;
	process->cpu_ns = rusage_cpu_ns(&usage);
	*ret_status = r < 0 ? -1 : status;
	return true;
}

static int on_pidfd(struct loop_source *source, uint32_t events, void *userdata)
{
	struct parser_process *process = userdata;
	int status;
	if (!process_reap(process, &status))
		return 0;
	process->exit_source = loop_remove(process->exit_source);
	process->on_exit(process, status, process->userdata);
	return 0;
}

/* Gives what was forked its descriptors, signals and session. Only async-signal-safe calls are left. */
static bool become_child(int child_socket)
{
	sigset_t none;
	if (child_socket == PARSER_CHILD_SOCKET ? fcntl(child_socket, F_SETFD, 0) < 0
						: dup2(child_socket, PARSER_CHILD_SOCKET) < 0)
		return false;
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			return false;
	if (null > 2)
		close(null);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) == 0 && setsid() >= 0;
}

/* fork() and not posix_spawn(), which waits for the exec, and for ever if somebody stops the child before
 * it. A failing exec looks like a child that ends at once. */
static int spawn(const char *const *argv, int child_socket, pid_t *ret_pid)
{
	char *const no_environment[] = {NULL};
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (become_child(child_socket))
			execve("/proc/self/exe", (char *const *)argv, no_environment);
		_exit(127);
	}
	*ret_pid = pid;
	return 0;
}

static int watch(struct loop *loop, struct parser_process *process)
{
	process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	if (process->pidfd < 0)
		return -errno;
	return loop_add_fd(loop, process->pidfd, EPOLLIN, on_pidfd, process,
			   &process->exit_source);
}

int parser_process_start(struct loop *loop, const char *const *argv,
			 parser_process_exit_callback on_exit, void *userdata,
			 struct parser_process **ret)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	_cleanup_fd_ int ours = pair[0];
	_cleanup_fd_ int theirs = pair[1];
	struct parser_process *process = malloc(sizeof(*process));
	if (!process)
		return -ENOMEM;
	*process = (struct parser_process){.pidfd = -1, .socket = -1, .on_exit = on_exit,
					   .userdata = userdata};
	int r = spawn(argv, theirs, &process->pid);
	if (r < 0) {
		free(process);
		return r;
	}
	process->socket = take_fd(ours);
	r = watch(loop, process);
	if (r < 0) {
		parser_process_free(process);
		return r;
	}
	*ret = process;
	return 0;
}

void parser_process_kill(struct parser_process *process)
{
	process->socket = close_fd(process->socket);
	if (!process->ended)
		kill(process->pid, SIGKILL);
}

uint64_t parser_process_cpu_ns(const struct parser_process *process)
{
	return process->ended ? process->cpu_ns : process_cpu_ns(process->pid);
}

bool parser_process_is_stopped(const struct parser_process *process)
{
	siginfo_t info = {0};
	return !process->ended &&
	       waitid(P_PID, (id_t)process->pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == process->pid;
}

struct parser_process *parser_process_free(struct parser_process *process)
{
	if (!process)
		return NULL;
	loop_remove(process->exit_source);
	parser_process_kill(process);
	int status;
	if (!process->ended && process->pidfd >= 0) {
		struct pollfd end = {.fd = process->pidfd, .events = POLLIN};
		poll(&end, 1, END_TIMEOUT_MS);
		process_reap(process, &status);
	}
	close_fd(process->pidfd);
	free(process);
	return NULL;
}
