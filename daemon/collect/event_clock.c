/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/event_clock.h"

#include "bpf/wire.h"
#include "collect/instructions.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <unistd.h>

bool event_clock_probe(uint32_t function)
{
	struct bpf_insn instructions[] = {
		{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, .imm = (int32_t)function},
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
	int r = instructions_set_call(program, CAST_TO_KERNEL_CONTEXT, function);
	return r < 0 ? r : instructions_switch_on(program, SWITCH_EVENT_CLOCK);
}
