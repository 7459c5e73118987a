/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side's walk (bpf/unwind.bpf.h) as a function of the host: the same source, compiled by the
 * host's compiler, over a world that a test made. What the helpers answer stands in that world; what
 * they would refuse in the kernel they refuse here, so an access the verifier cannot see, or a wrong
 * frame, can be looked at in a debugger and searched for by a fuzzer.
 */
#pragma once

#include "bpf/wire.h"

/* Addresses of kernel objects are offsets from here, so that they are the same in each run. */
#define REPLAY_KERNEL_BASE 0xffff888000000000ULL

/* struct user_pt_regs (arm64) or struct user_regs_struct up to ss (x86-64), as PTRACE_GETREGSET gives
 * them with NT_PRSTATUS. */
#if defined(__x86_64__)
#define REPLAY_REGISTERS 21
#define REPLAY_REGISTER_PC 16
#define REPLAY_REGISTER_SP 19
#define REPLAY_REGISTER_FP 4
#elif defined(__aarch64__)
#define REPLAY_REGISTERS 34
#define REPLAY_REGISTER_PC 32
#define REPLAY_REGISTER_SP 31
#define REPLAY_REGISTER_FP 29
#endif

struct replay_binary {
	struct binary_key key;
	struct binary_entry entry;
};

struct replay_world {
	/* The user's memory. Returns 0, or -1: not readable as a whole. */
	int (*read_user)(void *userdata, void *to, u64 size, u64 address);
	void *userdata;

	const unsigned char *kernel; /* bytes at REPLAY_KERNEL_BASE */
	u64 kernel_size;
	u64 mm; /* address of the process's struct mm_struct */
	u64 process_start; /* as another process it is another number */
	u32 exec_id;
	u32 changes; /* of its mappings so far */
	u32 red_black_tree; /* mappings are in one, as before Linux 6.1; otherwise in a maple tree */

	char **chunks; /* of the arena, ARENA_CHUNK_SIZE bytes each; NULL: none there */
	u32 chunk_count;

	/* The map `binaries`; the walk adds what it meets first while there is room. */
	struct replay_binary *binaries;
	u32 binary_count, binary_capacity;
};

struct replay_stack {
	u32 end; /* enum stack_end */
	u32 count;
	u64 frames[MAX_USER_FRAMES + 1]; /* frame words, leaf first */
	u32 kernel_reads; /* of kernel objects */
};

/* Walks from a user-mode interrupt with these registers. State that the kernel side keeps between
 * samples (recent mappings and rules) is kept here too. */
void replay_unwind(struct replay_world *world, const u64 *registers, struct replay_stack *ret);

/* A sample of the process that is refused before anything is walked. */
void replay_refuse(struct replay_world *world);

/* Forgets that state: before another world. */
void replay_reset(void);
