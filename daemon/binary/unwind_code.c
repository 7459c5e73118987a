/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machine code that says by itself what frame it runs in.
 *
 * The entry of a process has no caller. glibc describes it; musl and others, whose start code is
 * assembly, do not. It is recognised by what the ABI asks of it: the frame pointer (arm64: also the
 * link register) is set to zero first. It ends with its first call or jump. glibc's loader has an
 * entry of its own, which says nothing either.
 *
 * Signal trampolines without CFI (musl's, old glibc's) are two instructions and nothing else, and so are
 * those behind the system call that makes a thread. They are searched for only in C libraries and static
 * programs: files that depend on no other, or on the dynamic loader alone.
 */
#include "binary/unwind_code.h"

#include "binary/cursor.h"

#include <string.h>

#define ENTRY_SIZE 64 /* longest entry considered */
/* Static programs of 90 MB are the largest that were met. A file may have any amount of code, and the same
 * bytes in many segments. */
#define MAX_SEARCHED (256ULL << 20)

static bool begins_with(const struct elf_file *elf, uint64_t address, const void *code, size_t size)
{
	size_t available;
	const unsigned char *at = elf_file_at_address(elf, address, &available);
	return at && available >= size && !memcmp(at, code, size);
}

/* mov $15, %rax; syscall, and the same with the shorter mov to %eax */
static const unsigned char return_rax[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
static const unsigned char return_eax[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
/* 32-bit: mov $173,%eax; int $0x80, and for frames without siginfo pop %eax; mov $119,%eax; int $0x80 */
static const unsigned char return_32[] = {0xb8, 0xad, 0, 0, 0, 0xcd, 0x80};
static const unsigned char return_plain_32[] = {0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80};
/* mov x8, #139; svc #0 */
static const unsigned char return_x8[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4};

bool code_is_signal_return(const struct elf_file *elf, uint64_t address)
{
	if (elf->machine == EM_AARCH64)
		return begins_with(elf, address, return_x8, sizeof(return_x8));
	if (elf->machine == EM_386)
		return begins_with(elf, address, return_32, sizeof(return_32)) ||
		       begins_with(elf, address, return_plain_32, sizeof(return_plain_32));
	return begins_with(elf, address, return_rax, sizeof(return_rax)) ||
	       begins_with(elf, address, return_eax, sizeof(return_eax));
}

/* glibc's dynamic loader: mov %rsp,%rdi; call _dl_start; …; jmp *%r12 to the program's own entry. */
static size_t loader_entry_size_x86(const unsigned char *code, size_t size)
{
	if (size < 4 || memcmp(code, "\x48\x89\xe7\xe8", 4))
		return 0;
	const unsigned char *jump = memmem(code, size, "\x41\xff\xe4", 3);
	return jump ? (size_t)(jump - code) + 3 : 0;
}

/* How many bytes at `code` are a process's entry, 0: it is something else. */
static size_t entry_size_x86(const unsigned char *code, size_t size)
{
	size_t at = size >= 4 && !memcmp(code, "\xf3\x0f\x1e\xfa", 4) ? 4 : 0; /* endbr64 */
	size_t loader = loader_entry_size_x86(code + at, size - at);
	if (loader)
		return at + loader;
	if (size < at + 3 || memcmp(code + at + (code[at] == 0x48), "\x31\xed", 2))
		return 0; /* xor %ebp,%ebp or %rbp,%rbp */
	for (at += 2; at + 6 <= size; at++) {
		if (code[at] == 0xe8 || code[at] == 0xe9)
			return at + 5;
		if (code[at] == 0xff && (code[at + 1] == 0x15 || code[at + 1] == 0x25))
			return at + 6;
	}
	return 0;
}

static size_t entry_size_aarch64(const unsigned char *code, size_t size)
{
	bool frame = false, link = false;
	for (size_t at = 0; at + 4 <= size; at += 4) {
		uint32_t instruction;
		memcpy(&instruction, code + at, sizeof(instruction));
		frame |= instruction == 0xd280001d; /* mov x29, #0 */
		link |= instruction == 0xd280001e;  /* mov x30, #0 */
		if ((instruction & 0x7c000000) == 0x14000000) /* b, bl */
			return frame && link ? at + 4 : 0;
	}
	return 0;
}

static int add_entry(const struct elf_file *elf, struct unwind_rows *rows)
{
	size_t size = 0;
	const unsigned char *code = elf->entry ? elf_file_at_address(elf, elf->entry, &size) : NULL;
	if (!code)
		return 0;
	size = MIN_OF(size, (size_t)ENTRY_SIZE);
	size = elf->machine == EM_AARCH64 ? entry_size_aarch64(code, size)
					  : entry_size_x86(code, size);
	return size ? unwind_rows_add_range(rows, elf->entry, size, UNWIND_FROM_ENTRY,
					    (struct unwind_rule){.kind = RULE_END})
		    : 0;
}

/* Names of other files that this one needs. */
struct needs {
	bool any;
	bool only_loader; /* "ld-linux-x86-64.so.2", "ld-musl-…": what a C library needs */
};

static bool names_loader(const struct elf_file *elf, uint64_t strings, uint64_t at)
{
	size_t size;
	const unsigned char *name = elf_file_at_address(elf, strings + at, &size);
	return name && size >= 3 && !memcmp(name, "ld-", 3);
}

/* One of the two words of a dynamic entry. */
static uint64_t dynamic_word(const struct elf_file *elf, struct cursor *c)
{
	return elf_file_is_32_bit(elf) ? cursor_u32(c) : cursor_u64(c);
}

/* The value of the first dynamic entry with this tag, or 0. */
static uint64_t dynamic_value(const struct elf_file *elf, struct cursor c, uint64_t wanted)
{
	uint64_t tag;
	while (cursor_left(&c) && (tag = dynamic_word(elf, &c)) != DT_NULL) {
		uint64_t value = dynamic_word(elf, &c);
		if (tag == wanted)
			return value;
	}
	return 0;
}

static struct needs needs_of(const struct elf_file *elf)
{
	struct needs needs = {.only_loader = true};
	Elf64_Phdr segment;
	for (uint32_t i = 0; elf_file_segment(elf, i, &segment); i++) {
		const void *bytes = elf_file_range(elf, segment.p_offset, segment.p_filesz);
		if (segment.p_type != PT_DYNAMIC || !bytes)
			continue;
		struct cursor c = cursor_over(bytes, segment.p_filesz);
		uint64_t strings = dynamic_value(elf, c, DT_STRTAB), tag;
		while (cursor_left(&c) && (tag = dynamic_word(elf, &c)) != DT_NULL) {
			uint64_t value = dynamic_word(elf, &c);
			if (tag != DT_NEEDED)
				continue;
			needs.any = true;
			needs.only_loader &= names_loader(elf, strings, value);
		}
	}
	return needs;
}

/* The kernel returns from a handler to the trampoline's first byte, and callers are looked up one
 * byte earlier: so early the rule has to hold. */
static int add_signal_return(struct unwind_rows *rows, uint64_t address, size_t size)
{
	return unwind_rows_add_range(rows, address - 1, size + 1, UNWIND_FROM_CODE,
				     (struct unwind_rule){.kind = RULE_SIGNAL});
}

static int add_trampoline(struct unwind_rows *rows, uint64_t address)
{
	return add_signal_return(rows, address, sizeof(return_rax));
}

static int add_trampoline_32(struct unwind_rows *rows, uint64_t address)
{
	return add_signal_return(rows, address, sizeof(return_32));
}

static int add_plain_trampoline_32(struct unwind_rows *rows, uint64_t address)
{
	return add_signal_return(rows, address, sizeof(return_plain_32));
}

static int add_trampoline_aarch64(struct unwind_rows *rows, uint64_t address)
{
	return add_signal_return(rows, address, sizeof(return_x8));
}

/* syscall; test %rax,%rax; jl … and svc #0; cmp x0, #0: behind clone's system call two tasks go on, one
 * of them on another stack. glibc ends its CFI there ("in the child the unwind info will be wrong"). */
static const unsigned char clone_x86[] = {0x0f, 0x05, 0x48, 0x85, 0xc0, 0x7c};
static const unsigned char clone_aarch64[] = {0x01, 0, 0, 0xd4, 0x1f, 0, 0, 0xf1};
#define CLONE_SIZE_X86 10     /* to the ret: … 7c NN; jz +1; ret */
#define CLONE_SIZE_AARCH64 16 /* svc, cmp, and the branches to the child and to the error */

static int add_clone(struct unwind_rows *rows, uint64_t address)
{
	return unwind_rows_add_range(rows, address, CLONE_SIZE_X86, UNWIND_FROM_CODE,
				     (struct unwind_rule){.kind = RULE_NEW_THREAD, .cfa_offset = 8});
}

static int add_clone_aarch64(struct unwind_rows *rows, uint64_t address)
{
	return unwind_rows_add_range(rows, address, CLONE_SIZE_AARCH64, UNWIND_FROM_CODE,
				     (struct unwind_rule){.kind = RULE_NEW_THREAD});
}

/* musl's: syscall; test %eax,%eax; jnz to the ret; then the child's part: xor %ebp,%ebp; pop %rdi;
 * call *%r9; mov %eax,%edi; xor %eax,%eax; mov $60,%al; syscall; hlt */
static const unsigned char clone_musl[] = {0x0f, 0x05, 0x85, 0xc0, 0x75, 0x0f, 0x31, 0xed,
					   0x5f, 0x41, 0xff, 0xd1, 0x89, 0xc7, 0x31, 0xc0,
					   0xb0, 0x3c, 0x0f, 0x05, 0xf4};
#define CLONE_SIZE_MUSL 6 /* of both tasks' part */

static int add_clone_musl(struct unwind_rows *rows, uint64_t address)
{
	int r = unwind_rows_add_range(rows, address, CLONE_SIZE_MUSL, UNWIND_FROM_CODE,
				      (struct unwind_rule){.kind = RULE_NEW_THREAD, .cfa_offset = 8});
	return r < 0 ? r
		     : unwind_rows_add_range(rows, address + CLONE_SIZE_MUSL,
					     sizeof(clone_musl) - CLONE_SIZE_MUSL, UNWIND_FROM_CODE,
					     (struct unwind_rule){.kind = RULE_END});
}

/* musl's end of a detached thread, which unmaps its own stack: mov $11,%eax; syscall; xor %rdi,%rdi;
 * mov $60,%eax; syscall. From the first system call on it has no caller. */
static const unsigned char unmap_musl[] = {0xb8, 0x0b, 0, 0, 0, 0x0f, 0x05, 0x48, 0x31,
					   0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05};
#define UNMAP_CALL 5 /* where the system call is */

static int add_unmap_musl(struct unwind_rows *rows, uint64_t address)
{
	return unwind_rows_add_range(rows, address + UNMAP_CALL, sizeof(unmap_musl) - UNMAP_CALL,
				     UNWIND_FROM_CODE, (struct unwind_rule){.kind = RULE_END});
}

/* What is looked for, and what comes of it. */
struct pattern {
	const unsigned char *bytes;
	size_t size;
	size_t call; /* where in it the instruction of a system call is, on x86-64 */
	int (*add)(struct unwind_rows *rows, uint64_t address);
	bool clone; /* of a thread's start or end, otherwise of a signal's return */
};

static const struct pattern patterns_x86[] = {
	{return_rax, sizeof(return_rax), 7, add_trampoline, false},
	{clone_x86, sizeof(clone_x86), 0, add_clone, true},
	{clone_musl, sizeof(clone_musl), 0, add_clone_musl, true},
	{unmap_musl, sizeof(unmap_musl), UNMAP_CALL, add_unmap_musl, true},
};

static const struct pattern patterns_32[] = {
	{return_32, sizeof(return_32), 0, add_trampoline_32, false},
	{return_plain_32, sizeof(return_plain_32), 0, add_plain_trampoline_32, false},
};

static const struct pattern patterns_aarch64[] = {
	{return_x8, sizeof(return_x8), 0, add_trampoline_aarch64, false},
	{clone_aarch64, sizeof(clone_aarch64), 0, add_clone_aarch64, true},
};

static bool is_wanted(const struct pattern *pattern, const struct needs *needs)
{
	return pattern->clone ? needs->only_loader : !needs->any;
}

#define BLOCK 64

/* Is there a system call among so many bytes, the last of which may be its first? Without a branch, so that
 * compilers use vectors: Go programs have ten megabytes of code with a few dozen of them. */
static bool block_has_call(const unsigned char *at)
{
	uint8_t found = 0;
	for (unsigned i = 0; i < BLOCK; i++)
		found |= (at[i] == 0x0f) & (at[i + 1] == 0x05);
	return found;
}

/* The first `syscall` from `at` on, or NULL. */
static const unsigned char *find_call_x86(const unsigned char *at, const unsigned char *end)
{
	while (end - at > BLOCK && !block_has_call(at))
		at += BLOCK;
	return memmem(at, end - at, "\x0f\x05", 2);
}

static int add_matches_x86(const struct unwind_segment *segment, const unsigned char *code,
			   const struct needs *needs, struct unwind_rows *rows)
{
	const unsigned char *end = code + segment->size, *call = code;
	int r = 0;
	for (; r == 0 && (call = find_call_x86(call, end)); call++) {
		for (size_t i = 0; i < ARRAY_LENGTH(patterns_x86) && r == 0; i++) {
			const struct pattern *pattern = &patterns_x86[i];
			if (!is_wanted(pattern, needs) || pattern->call > (size_t)(call - code) ||
			    pattern->size - pattern->call > (size_t)(end - call) ||
			    memcmp(call - pattern->call, pattern->bytes, pattern->size))
				continue;
			r = pattern->add(rows, segment->address + (call - code) - pattern->call);
		}
	}
	return r;
}

static int add_matches_of(const struct pattern *patterns, size_t count, const struct unwind_segment *segment,
			  const unsigned char *code, const struct needs *needs, struct unwind_rows *rows)
{
	int r = 0;
	for (size_t i = 0; i < count; i++) {
		const struct pattern *pattern = &patterns[i];
		struct cursor c = cursor_over(code, is_wanted(pattern, needs) ? segment->size : 0);
		const unsigned char *at;
		while (r == 0 && (at = memmem(c.at, cursor_left(&c), pattern->bytes, pattern->size))) {
			r = pattern->add(rows, segment->address + (at - code));
			c.at = at + pattern->size;
		}
	}
	return r;
}

static int add_matches(const struct elf_file *elf, const struct unwind_segment *segment,
		       const struct needs *needs, struct unwind_rows *rows)
{
	const unsigned char *code = elf_file_range(elf, segment->offset, segment->size);
	if (!code)
		return 0;
	switch (elf->machine) {
	case EM_AARCH64:
		return add_matches_of(patterns_aarch64, ARRAY_LENGTH(patterns_aarch64), segment, code, needs, rows);
	case EM_386:
		return add_matches_of(patterns_32, ARRAY_LENGTH(patterns_32), segment, code, needs, rows);
	default:
		return add_matches_x86(segment, code, needs, rows);
	}
}

int unwind_code_read(const struct elf_file *elf, struct unwind_rows *rows)
{
	struct needs needs = needs_of(elf);
	int r = add_entry(elf, rows);
	if (r == 0 && elf->machine == EM_AARCH64)
		r = unwind_vdso_read(elf, rows);
	uint64_t left = needs.any && !needs.only_loader ? 0 : MAX_SEARCHED;
	for (size_t i = 0; i < rows->segments.count && r == 0 && left; i++) {
		struct unwind_segment segment = rows->segments.items[i];
		segment.size = MIN_OF(segment.size, left);
		left -= segment.size;
		r = add_matches(elf, &segment, &needs, rows);
	}
	return r;
}
