/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the child process of `record -- CMD`; see workload.h. */
#include "command/workload.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: waits for the byte, then becomes the command. */
__attribute__((noreturn)) static void become(char **argv, int barrier, int failure,
					     bool keep_stdout_free)
{
	char go;
	ssize_t n;
	do
		n = read(barrier, &go, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(0); /* the recording did not start */
	if (keep_stdout_free)
		dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(argv[0], argv);
	int error = errno;
	write_all(failure, &error, sizeof(error));
	_exit(error == ENOENT ? 127 : 126);
}

int workload_fork(struct workload *workload, char **argv, bool keep_stdout_free)
{
	int barrier[2], failure[2];
	if (pipe2(barrier, O_CLOEXEC) < 0)
		return -errno;
	_cleanup_fd_ int barrier_read = barrier[0], barrier_write = barrier[1];
	if (pipe2(failure, O_CLOEXEC) < 0)
		return -errno;
	_cleanup_fd_ int failure_read = failure[0], failure_write = failure[1];

	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		barrier_write = close_fd(barrier_write);
		become(argv, barrier_read, failure_write, keep_stdout_free);
	}
	workload->pid = pid;
	workload->barrier = take_fd(barrier_write);
	workload->exec_failure = take_fd(failure_read);
	workload->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return workload->pidfd < 0 ? -errno : 0;
}

int workload_start(struct workload *workload)
{
	char go = 1;
	/* A child killed at the barrier is found by workload_wait(). */
	sigset_t pipe_signal, before;
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe_signal, &before);
	write_all(workload->barrier, &go, 1);
	sigtimedwait(&pipe_signal, NULL, &(struct timespec){0});
	sigprocmask(SIG_SETMASK, &before, NULL);
	workload->barrier = close_fd(workload->barrier);

	int error = 0;
	ssize_t n;
	do
		n = read(workload->exec_failure, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	workload->exec_failure = close_fd(workload->exec_failure);
	return n == sizeof(error) ? -error : 0;
}

static bool is_in_foreground(void)
{
	_cleanup_fd_ int terminal = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return terminal >= 0 && tcgetpgrp(terminal) == getpgrp();
}

void workload_signal(const struct workload *workload, int signal, bool is_from_kernel)
{
	if (workload->pid <= 0 || workload->ended)
		return;
	if (signal == SIGINT && is_from_kernel && is_in_foreground())
		return;
	kill(workload->pid, signal);
}

int workload_wait(struct workload *workload)
{
	if (workload->ended)
		return 0;
	while (waitpid(workload->pid, &workload->status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	workload->ended = true;
	return 0;
}

int workload_exit_status(const struct workload *workload)
{
	if (WIFSIGNALED(workload->status))
		return 128 + WTERMSIG(workload->status);
	return WEXITSTATUS(workload->status);
}

void workload_close(struct workload *workload)
{
	bool waits_at_barrier = workload->barrier >= 0;
	workload->barrier = close_fd(workload->barrier);
	if (waits_at_barrier && workload->pid > 0)
		workload_wait(workload);
	workload->exec_failure = close_fd(workload->exec_failure);
	workload->pidfd = close_fd(workload->pidfd);
}
