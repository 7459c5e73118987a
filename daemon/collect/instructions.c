/* SPDX-License-Identifier: Apache-2.0 */
/* As many instructions as before, so what libbpf knows of their places stays true. */
#include "collect/instructions.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#define CALL (BPF_JMP | BPF_CALL)
#define MOVE (BPF_ALU64 | BPF_MOV | BPF_K)

/* In every instruction of this code and number. */
static int replace(struct bpf_program *program, uint8_t code, int32_t number, uint8_t source, int32_t by)
{
	size_t count = bpf_program__insn_cnt(program);
	_cleanup_free_ struct bpf_insn *instructions = malloc(count * sizeof(*instructions));
	if (!instructions)
		return -ENOMEM;
	memcpy(instructions, bpf_program__insns(program), count * sizeof(*instructions));
	for (size_t i = 0; i < count; i++) {
		if (instructions[i].code != code || instructions[i].imm != number)
			continue;
		instructions[i].src_reg = source & 15;
		instructions[i].imm = by;
	}
	return bpf_program__set_insns(program, instructions, count);
}

int instructions_set_call(struct bpf_program *program, int32_t marker, uint32_t function)
{
	return replace(program, CALL, marker, BPF_PSEUDO_KFUNC_CALL, (int32_t)function);
}

int instructions_switch_on(struct bpf_program *program, int32_t number)
{
	return replace(program, MOVE, number, 0, number + 1);
}
