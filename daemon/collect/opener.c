/* SPDX-License-Identifier: Apache-2.0 */
/* See opener.h. Questions are asked one at a time and answered at once: there is nothing to match. */
#include "collect/opener.h"

#include "base/clock.h"
#include "base/file.h"
#include "collect/opener_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_SECONDS 2

struct opener {
	pid_t pid;
	int socket;
};

static bool capability_flag(cap_t capabilities, cap_flag_t flag)
{
	cap_flag_value_t value = CAP_CLEAR;
	return cap_get_flag(capabilities, CAP_SYS_ADMIN, flag, &value) == 0 && value == CAP_SET;
}

bool opener_is_useful(void)
{
	cap_t capabilities = cap_get_proc();
	bool has = capabilities && capability_flag(capabilities, CAP_EFFECTIVE);
	cap_free(capabilities);
	return has;
}

/* From every set; of the bounding set too, where CAP_SETPCAP allows it, so that nothing this process
 * executes gets it back. */
static int give_capability_up(void)
{
	static const cap_value_t which[] = {CAP_SYS_ADMIN};
	cap_t capabilities = cap_get_proc();
	if (!capabilities)
		return -errno;
	prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_SYS_ADMIN, 0, 0);
	int r = 0;
	if (cap_set_flag(capabilities, CAP_EFFECTIVE, 1, which, CAP_CLEAR) < 0 ||
	    cap_set_flag(capabilities, CAP_PERMITTED, 1, which, CAP_CLEAR) < 0 ||
	    cap_set_flag(capabilities, CAP_INHERITABLE, 1, which, CAP_CLEAR) < 0 ||
	    cap_set_proc(capabilities) < 0)
		r = -errno;
	cap_free(capabilities);
	return r;
}

static int spawn_child(int child_socket, pid_t *ret_pid)
{
	static char *const argv[] = {"bolometer", OPENER_ARGUMENT, NULL};
	static char *const no_environment[] = {NULL};
	posix_spawn_file_actions_t actions;
	int r = -posix_spawn_file_actions_init(&actions);
	if (r < 0)
		return r;
	r = -posix_spawn_file_actions_adddup2(&actions, child_socket, OPENER_CHILD_SOCKET);
	if (r == 0)
		r = -posix_spawn(ret_pid, "/proc/self/exe", &actions, NULL, argv, no_environment);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int opener_start(struct opener **ret)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	_cleanup_fd_ int ours = pair[0];
	/* Not the number the child's is to have: a duplicate onto itself would stay close-on-exec. */
	_cleanup_fd_ int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, OPENER_CHILD_SOCKET + 1);
	close(pair[1]);
	if (theirs < 0)
		return -errno;
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_SECONDS};
	if (setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	struct opener *opener = malloc(sizeof(*opener));
	if (!opener)
		return -ENOMEM;
	*opener = (struct opener){.socket = -1};
	int r = spawn_child(theirs, &opener->pid);
	if (r == 0) {
		opener->socket = take_fd(ours);
		r = give_capability_up();
	}
	if (r < 0) {
		opener_free(opener);
		return r;
	}
	*ret = opener;
	return 0;
}

struct opener *opener_free(struct opener *opener)
{
	if (!opener)
		return NULL;
	close_fd(opener->socket);
	if (opener->pid > 0) {
		kill(opener->pid, SIGKILL);
		while (waitpid(opener->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	free(opener);
	return NULL;
}

static int passed_descriptor(struct msghdr *message)
{
	int fd = -1;
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}

static int receive_answer(int socket)
{
	struct opener_answer answer;
	struct iovec part = {.iov_base = &answer, .iov_len = sizeof(answer)};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	ssize_t n;
	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : errno == ECONNRESET ? -EPIPE : -errno;
	_cleanup_fd_ int fd = passed_descriptor(&message);
	if (n == 0)
		return -EPIPE;
	if (n != sizeof(answer) || answer.result > 0 || (answer.result == 0 && fd < 0))
		return -EBADMSG;
	return answer.result < 0 ? answer.result : take_fd(fd);
}

static int ask(struct opener *opener, const struct opener_question *question)
{
	if (opener->socket < 0)
		return -EPIPE;
	int r = send(opener->socket, question, sizeof(*question), MSG_NOSIGNAL) < 0 ? -errno : 0;
	if (r == 0)
		r = receive_answer(opener->socket);
	/* A late answer would be taken for that to the next question. */
	if (r == -ETIMEDOUT || r == -EBADMSG)
		opener->socket = close_fd(opener->socket);
	return r;
}

int opener_open_event(void *userdata, struct perf_event_attr *attr, int cpu)
{
	struct opener_question question = {.kind = OPENER_PERF_EVENT, .cpu = cpu, .attr = *attr};
	return ask(userdata, &question);
}

int opener_enable_bpf_statistics(struct opener *opener)
{
	struct opener_question question = {.kind = OPENER_BPF_STATISTICS};
	return ask(opener, &question);
}

uint32_t opener_pid(const struct opener *opener)
{
	return (uint32_t)opener->pid;
}

uint64_t opener_cpu_ns(const struct opener *opener)
{
	return process_cpu_ns(opener->pid);
}
