/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the opener. What it is asked comes from the daemon, which may have been taken over: an event is
 * opened only if it is one of the three harmless kinds the daemon needs, whoever asks. Two capabilities
 * stay, no path can be opened, and a system call outside the few that serving takes ends the process.
 */
#include "collect/opener.h"

#include "binary/sandbox.h"
#include "collect/opener_protocol.h"

#include <errno.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int allow_calls(void *filter)
{
	static const int allowed[] = {
		SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(close), SCMP_SYS(perf_event_open),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit_group),
	};
	int r = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(allowed) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
				     SCMP_A0(SCMP_CMP_EQ, BPF_ENABLE_STATS));
	return r;
}

static int open_event(struct opener_question *question)
{
	const struct perf_event_attr *attr = &question->attr;
	bool is_harmless = attr->config == PERF_COUNT_SW_CPU_CLOCK ||
			   attr->config == PERF_COUNT_SW_DUMMY ||
			   attr->config == PERF_COUNT_SW_PAGE_FAULTS_MIN;
	if (attr->type != PERF_TYPE_SOFTWARE || attr->size > sizeof(*attr) || !is_harmless)
		return -EPERM;
	long fd = syscall(SYS_perf_event_open, attr, -1, question->cpu, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

static int enable_bpf_statistics(void)
{
	union bpf_attr attr = {.enable_stats.type = BPF_STATS_RUN_TIME};
	long fd = syscall(SYS_bpf, BPF_ENABLE_STATS, &attr, sizeof(attr));
	return fd < 0 ? -errno : (int)fd;
}

static int act(struct opener_question *question)
{
	switch (question->kind) {
	case OPENER_PERF_EVENT:
		return open_event(question);
	case OPENER_BPF_STATISTICS:
		return enable_bpf_statistics();
	default:
		return -EINVAL;
	}
}

/* Sends the result, with the descriptor if there is one, and closes it here. */
static int answer(int result)
{
	struct opener_answer answer = {.result = result < 0 ? result : 0};
	struct iovec part = {.iov_base = &answer, .iov_len = sizeof(answer)};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (result >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &result, sizeof(int));
	}
	ssize_t n = sendmsg(OPENER_CHILD_SOCKET, &message, MSG_NOSIGNAL);
	int error = n < 0 ? -errno : 0;
	if (result >= 0)
		close(result);
	return error;
}

static int serve(void)
{
	for (;;) {
		struct opener_question question;
		struct iovec part = {.iov_base = &question, .iov_len = sizeof(question)};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
		ssize_t n = recvmsg(OPENER_CHILD_SOCKET, &message, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0;
		int r = answer(n == sizeof(question) ? act(&question) : -EINVAL);
		if (r < 0 && r != -EINTR)
			return 1;
	}
}

int opener_child_main(void)
{
	static const cap_value_t kept[] = {CAP_SYS_ADMIN, CAP_PERFMON};
	int r = sandbox_enter_with_capabilities(kept, ARRAY_LENGTH(kept), allow_calls,
						OPENER_CHILD_SOCKET);
	return r < 0 ? 1 : serve();
}
