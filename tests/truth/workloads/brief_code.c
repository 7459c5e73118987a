/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time in code that the kernel generated and that is gone soon: BPF programs of two names, loaded, run and unloaded
 * by turns, the second often at the address of the first.
 *
 *	brief_code SECONDS
 */
#include <linux/bpf.h>
#include <sys/syscall.h>

#include "workload.h"

#define INSTRUCTIONS 4000
#define TURNS 6
#define SHORTEST_REPEAT 500

static const char *const names[] = {"brief_one", "brief_two"};

static long call_bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* It counts in a register; what it counts by, and so its code but not its length, is `step`. */
static int load(const char *name, int step)
{
	static struct bpf_insn instructions[INSTRUCTIONS];
	union bpf_attr attr = {0};

	for (int i = 0; i < INSTRUCTIONS; i++)
		instructions[i] = (struct bpf_insn){.code = BPF_ALU64 | BPF_ADD | BPF_K, .imm = 1000 + step};
	instructions[0] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = step};
	instructions[INSTRUCTIONS - 1] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uintptr_t)instructions;
	attr.insn_cnt = INSTRUCTIONS;
	attr.license = (uintptr_t) "GPL";
	strcpy(attr.prog_name, name);
	return (int)call_bpf(BPF_PROG_LOAD, &attr);
}

static int run(int program, unsigned repeat)
{
	static char packet[64];
	union bpf_attr attr = {0};

	attr.test.prog_fd = (unsigned)program;
	attr.test.repeat = repeat;
	attr.test.data_in = (uintptr_t)packet;
	attr.test.data_size_in = sizeof(packet);
	return (int)call_bpf(BPF_PROG_TEST_RUN, &attr);
}

/* Returns its CPU time, or 0 when programs cannot be loaded or run. */
static uint64_t one_turn(int which, uint64_t wanted_ns)
{
	int program = load(names[which], which);
	uint64_t start = thread_cpu_ns(), used = 0;

	while (program >= 0 && used < wanted_ns) {
		if (run(program, SHORTEST_REPEAT) < 0)
			return 0;
		used = thread_cpu_ns() - start;
	}
	close(program);
	usleep(30000); /* its memory is given back when no CPU can be in it any more */
	return used;
}

int main(int argc, char **argv)
{
	uint64_t used[2] = {0}, each = argument_ns(argc > 1 ? argv[1] : "1") / TURNS;

	for (int turn = 0; turn < TURNS; turn++) {
		uint64_t ns = one_turn(turn % 2, each);

		if (!ns)
			return 77;
		used[turn % 2] += ns;
	}
	printf("{\"functions\": {\"%s\": %llu, \"%s\": %llu}, \"turns\": %d", names[0], (unsigned long long)used[0], names[1],
	       (unsigned long long)used[1], TURNS);
	print_end("brief_code");
	return 0;
}
