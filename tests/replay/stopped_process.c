/* SPDX-License-Identifier: Apache-2.0 */
/* See stopped_process.h. Source: ptrace(2), "PTRACE_SEIZE". */
#include "stopped_process.h"

#include "base/file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_program(char *const *arguments)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, 0);
	dup2(null, 1);
	execvp(arguments[0], arguments);
	_exit(127);
}

int stopped_process_start(struct stopped_process *process, char *const *arguments)
{
	*process = (struct stopped_process){.pid = fork()};
	if (process->pid == 0)
		run_program(arguments);
	if (process->pid < 0)
		return -errno;
	if (ptrace(PTRACE_SEIZE, process->pid, NULL, (void *)(long)PTRACE_O_EXITKILL) < 0) {
		int r = -errno;
		stopped_process_end(process);
		return r;
	}
	return 0;
}

/* Waits for a stop. A signal that it was stopped by waits for its delivery. */
static int wait_for_stop(struct stopped_process *process)
{
	int status;
	if (waitpid(process->pid, &status, __WALL) != process->pid || !WIFSTOPPED(status)) {
		process->ended = true;
		return -ESRCH;
	}
	if (!(status >> 16) && WSTOPSIG(status) != SIGTRAP)
		process->pending_signal = WSTOPSIG(status);
	return 0;
}

static int resume(struct stopped_process *process, enum __ptrace_request how)
{
	long signal_number = process->pending_signal;
	process->pending_signal = 0;
	return ptrace(how, process->pid, NULL, (void *)signal_number) < 0 ? -errno : 0;
}

int stopped_process_stop(struct stopped_process *process)
{
	if (ptrace(PTRACE_INTERRUPT, process->pid, NULL, NULL) < 0)
		return -errno;
	return wait_for_stop(process);
}

int stopped_process_step(struct stopped_process *process)
{
	int r = resume(process, PTRACE_SINGLESTEP);
	return r < 0 ? r : wait_for_stop(process);
}

int stopped_process_continue(struct stopped_process *process)
{
	return resume(process, PTRACE_CONT);
}

int stopped_process_registers(const struct stopped_process *process, u64 *registers)
{
	u64 all[64] = {0};
	struct iovec to = {all, sizeof(all)};
	if (ptrace(PTRACE_GETREGSET, process->pid, (void *)NT_PRSTATUS, &to) < 0)
		return -errno;
	memcpy(registers, all, REPLAY_REGISTERS * sizeof(u64));
	return 0;
}

void stopped_process_end(struct stopped_process *process)
{
	if (process->pid <= 0)
		return;
	kill(process->pid, SIGKILL);
	while (!process->ended) {
		int status;
		if (waitpid(process->pid, &status, __WALL) < 0 || !WIFSTOPPED(status))
			process->ended = true;
	}
	process->pid = 0;
}
