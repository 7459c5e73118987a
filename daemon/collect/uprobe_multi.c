/* SPDX-License-Identifier: Apache-2.0 */
/* BPF_LINK_CREATE as Linux 6.6's include/uapi/linux/bpf.h has it, which older headers lack. */
#include "collect/uprobe_multi.h"

#include "base/file.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* union bpf_attr's link_create with its uprobe_multi. */
struct link_create {
	uint32_t program, target, attach_type, flags;
	uint64_t path, offsets, reference_counters, cookies;
	uint32_t count, uprobe_flags, pid, padding;
};

int uprobe_multi_attach(int program, enum uprobe_multi_kind kind,
			const struct uprobe_multi_target *target)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", target->file);
	struct link_create attributes = {
		.program = (uint32_t)program,
		.attach_type = kind,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)target->offsets,
		.cookies = (uintptr_t)target->cookies,
		.count = target->count,
		.pid = target->pid,
		.uprobe_flags = target->returns ? 1 : 0, /* BPF_F_UPROBE_MULTI_RETURN */
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes));
	return fd < 0 ? -errno : (int)fd;
}

/* counts[cookie]++ */
static int load_program(int map, enum uprobe_multi_kind kind)
{
	const struct bpf_insn program[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_attach_cookie},
		{.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_0,
		 .off = -4},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -4},
		{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1,
		 .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
		{0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 2},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 1},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_1,
		 .imm = BPF_ADD},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = (enum bpf_attach_type)kind);
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "count_calls", "Dual BSD/GPL", program,
			       ARRAY_LENGTH(program), &options);
	return fd < 0 ? -errno : fd;
}

int uprobe_counter_open(uint32_t count, enum uprobe_multi_kind kind, struct uprobe_counter *ret)
{
	*ret = (struct uprobe_counter){.program = -1, .count = count};
	ret->map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "call_counts", sizeof(uint32_t),
				  sizeof(uint64_t), MAX_OF(count, 1U), NULL);
	if (ret->map < 0)
		return -errno;
	int r = load_program(ret->map, kind);
	ret->program = MAX_OF(r, -1);
	return MIN_OF(r, 0);
}

void uprobe_counter_close(struct uprobe_counter *counter)
{
	counter->program = close_fd(counter->program);
	counter->map = close_fd(counter->map);
}

int uprobe_counter_read(const struct uprobe_counter *counter, uint64_t *counts)
{
	for (uint32_t i = 0; i < counter->count; i++)
		if (bpf_map_lookup_elem(counter->map, &i, &counts[i]) < 0)
			return -errno;
	return 0;
}
