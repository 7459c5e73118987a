/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/event_clock.h"

#include "bpf/wire.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

#define CALL (BPF_JMP | BPF_CALL)

bool event_clock_probe(uint32_t function)
{
	struct bpf_insn instructions[] = {
		{.code = CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, .imm = (int32_t)function},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int program = function ? bpf_prog_load(BPF_PROG_TYPE_PERF_EVENT, "probe", "GPL", instructions,
					       ARRAY_LENGTH(instructions), NULL)
			       : -1;
	if (program >= 0)
		close(program);
	return program >= 0;
}

int event_clock_set_function(struct bpf_program *program, uint32_t function)
{
	size_t count = bpf_program__insn_cnt(program);
	_cleanup_free_ struct bpf_insn *instructions = malloc(count * sizeof(*instructions));
	if (!instructions)
		return -ENOMEM;
	memcpy(instructions, bpf_program__insns(program), count * sizeof(*instructions));
	for (size_t i = 0; i < count; i++) {
		if (instructions[i].code != CALL || instructions[i].imm != CAST_TO_KERNEL_CONTEXT)
			continue;
		instructions[i].src_reg = BPF_PSEUDO_KFUNC_CALL;
		instructions[i].imm = (int32_t)function;
	}
	/* As many as before, so what libbpf knows of their places stays true. */
	return bpf_program__set_insns(program, instructions, count);
}
