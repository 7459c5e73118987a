/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries the two system calls everything depends on. Sysctls and capabilities only explain a
 * refusal: distributions patch perf_event_paranoid, security modules and seccomp refuse in their
 * own ways.
 */
#include "command/doctor.h"

#include "base/file.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_cpu_clock(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.size = sizeof(attributes),
		.sample_period = 1000000000,
		.disabled = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* "return 0": the two instructions every program ends with. */
static int load_empty_program(void)
{
	static const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_PERF_EVENT, "doctor", "Dual BSD/GPL", program,
			       ARRAY_LENGTH(program), NULL);
	return fd < 0 ? -errno : fd;
}

void doctor_run_trials(struct doctor_trials *ret)
{
	_cleanup_fd_ int event = open_cpu_clock();
	_cleanup_fd_ int program = load_empty_program();
	ret->open_event = MIN_OF(event, 0);
	ret->load_program = MIN_OF(program, 0);
	ret->attach = TRIAL_SKIPPED;
	if (event >= 0 && program >= 0)
		ret->attach = ioctl(event, PERF_EVENT_IOC_SET_BPF, program) < 0 ? -errno : 0;
}
