/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JIT in small: writes machine code with frame pointers into anonymous memory, names it in
 * /tmp/perf-PID.map and runs it. jit_outer calls jit_inner, whose loop takes all the time; the driver
 * is ordinary code without a frame pointer. With "bare" the code keeps none either, and the frame pointer
 * is 0 when it is called, as a thread begins.
 *
 *	jit SECONDS [bare]
 */
#include <sys/mman.h>

#include "workload.h"

#if defined(__x86_64__)
/* inner: push rbp; mov rbp,rsp; 1: imul rax,rdi; dec rdi; jnz 1b; pop rbp; ret */
static const uint8_t inner_code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x0f, 0xaf, 0xc7, 0x48,
				     0xff, 0xcf, 0x75, 0xf7, 0x5d, 0xc3};
/* outer: push rbp; mov rbp,rsp; call inner (rel32, patched); pop rbp; ret */
static const uint8_t outer_code[] = {0x55, 0x48, 0x89, 0xe5, 0xe8, 0, 0, 0, 0, 0x5d, 0xc3};
#define OUTER_AT 64

/* 1: imul rax,rdi; dec rdi; jnz 1b; ret */
static const uint8_t bare_code[] = {0x48, 0x0f, 0xaf, 0xc7, 0x48, 0xff, 0xcf, 0x75, 0xf7, 0xc3};

void bare_driver(void (*code)(uint64_t), uint64_t rounds);
__asm__(".pushsection .text\n"
	".type bare_driver, @function\n"
	"bare_driver:\n"
	"	.cfi_startproc\n"
	"	push %rbp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	xor %ebp, %ebp\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	call *%rax\n"
	"	pop %rbp\n"
	"	.cfi_def_cfa_offset 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size bare_driver, . - bare_driver\n"
	".popsection\n");

static void patch_call(uint8_t *code)
{
	int32_t distance = -(OUTER_AT + 9);

	memcpy(code + OUTER_AT + 5, &distance, sizeof(distance));
}
#elif defined(__aarch64__)
/* inner: stp x29,x30,[sp,-16]!; mov x29,sp; 1: mul x1,x1,x0; subs x0,x0,1; b.ne 1b; ldp; ret */
static const uint32_t inner_code[] = {0xa9bf7bfd, 0x910003fd, 0x9b007c21, 0xf1000400,
				      0x54ffffc1, 0xa8c17bfd, 0xd65f03c0};
/* outer: stp; mov x29,sp; bl inner (patched); ldp; ret */
static const uint32_t outer_code[] = {0xa9bf7bfd, 0x910003fd, 0x94000000, 0xa8c17bfd, 0xd65f03c0};
#define OUTER_AT 64

/* 1: mul x1,x1,x0; subs x0,x0,1; b.ne 1b; ret */
static const uint32_t bare_code[] = {0x9b007c21, 0xf1000400, 0x54ffffc1, 0xd65f03c0};

void bare_driver(void (*code)(uint64_t), uint64_t rounds);
__asm__(".pushsection .text\n"
	".type bare_driver, %function\n"
	"bare_driver:\n"
	"	.cfi_startproc\n"
	"	stp x29, x30, [sp, -16]!\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset x29, -16\n"
	"	.cfi_offset x30, -8\n"
	"	mov x29, #0\n"
	"	mov x2, x0\n"
	"	mov x0, x1\n"
	"	blr x2\n"
	"	ldp x29, x30, [sp], 16\n"
	"	.cfi_restore x29\n"
	"	.cfi_restore x30\n"
	"	.cfi_def_cfa_offset 0\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size bare_driver, . - bare_driver\n"
	".popsection\n");

static void patch_call(uint8_t *code)
{
	uint32_t call = 0x94000000u | (0x3ffffffu & (uint32_t)(-(OUTER_AT + 8) / 4));

	memcpy(code + OUTER_AT + 8, &call, sizeof(call));
}
#endif

#define ROUNDS 6000000 /* some milliseconds */

static void write_map(const uint8_t *code)
{
	char path[64];
	FILE *map;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	map = fopen(path, "we");
	if (!map)
		return;
	fprintf(map, "%llx %zx jit_inner\n", (unsigned long long)(uintptr_t)code, sizeof(inner_code));
	fprintf(map, "%llx %zx jit_outer\n", (unsigned long long)(uintptr_t)(code + OUTER_AT),
		sizeof(outer_code));
	fclose(map);
}

NOINLINE void jit_driver(void (*code)(uint64_t), uint64_t rounds)
{
	code(rounds);
	KEEP_FRAME();
}

int main(int argc, char **argv)
{
	uint64_t total_ns = argument_ns(argc > 1 ? argv[1] : "1"), start = thread_cpu_ns();
	uint64_t seed = (uint64_t)getpid() + 1;
	void (*driver)(void (*)(uint64_t), uint64_t) = argc > 2 ? bare_driver : jit_driver;
	uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (code == MAP_FAILED)
		return 1;
	memcpy(code, inner_code, sizeof(inner_code));
	memcpy(code + OUTER_AT, outer_code, sizeof(outer_code));
	patch_call(code);
	if (argc > 2)
		memcpy(code + OUTER_AT, bare_code, sizeof(bare_code));
	mprotect(code, 4096, PROT_READ | PROT_EXEC);
	__builtin___clear_cache((char *)code, (char *)code + 4096);
	write_map(code);
	while (thread_cpu_ns() - start < total_ns)
		driver((void (*)(uint64_t))(uintptr_t)(code + OUTER_AT),
		       ROUNDS / 2 + random_next(&seed) % ROUNDS);
	printf("{\"functions\": {\"jit_inner\": %llu}", (unsigned long long)(thread_cpu_ns() - start));
	print_end("jit");
	return 0;
}
