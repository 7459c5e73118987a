/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program most of which is described, with a large stretch of code that is not and keeps frame pointers:
 * what V8's built-in functions are in node. The work is called through such a function.
 *
 *	undescribed SECONDS
 */
#include "workload.h"

/* More than is followed instruction by instruction: 6,144 functions of 64 bytes, one of them `undescribed`.
 * The described code is so large that the stretch is less than a quarter of all. */
__asm__(".pushsection .text\n"
	".p2align 6\n"
	".type described_padding, @function\n"
	"described_padding:\n"
	"	.cfi_startproc\n"
	"	.fill 0x180000, 1, 0x90\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size described_padding, . - described_padding\n"
	".p2align 6\n"
	".rept 3072\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	leave\n"
	"	ret\n"
	"	.p2align 6\n"
	".endr\n"
	".globl undescribed\n"
	".type undescribed, @function\n"
	"undescribed:\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	sub $0x30, %rsp\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	call *%rax\n"
	"	leave\n"
	"	ret\n"
	".size undescribed, . - undescribed\n"
	"	.p2align 6\n"
	".rept 3071\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	leave\n"
	"	ret\n"
	"	.p2align 6\n"
	".endr\n"
	".popsection\n");

uint64_t undescribed(uint64_t (*work)(uint64_t), uint64_t total_ns);

NOINLINE uint64_t described_work(uint64_t total_ns)
{
	uint64_t start = thread_cpu_ns(), value = start;

	while (thread_cpu_ns() - start < total_ns)
		for (int round = 0; round < 100000; round++)
			value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	return value;
}

NOINLINE uint64_t described_caller(uint64_t total_ns)
{
	uint64_t value = undescribed(described_work, total_ns);

	KEEP_FRAME();
	return value + 1;
}

int main(int argc, char **argv)
{
	consume(described_caller(argument_ns(argc > 1 ? argv[1] : "1")));
	printf("{\"functions\": {\"described_work\": %llu}", (unsigned long long)thread_cpu_ns());
	print_end("undescribed");
	return 0;
}
