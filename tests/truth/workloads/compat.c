/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 32-bit program without a C library, which few hosts have for it. Until it is killed it calls a leaf through
 * frames of each kind that compilers for 32-bit x86 make, out of handlers of both kinds of signals, and makes system
 * calls as a C library does: through the vDSO.
 */
#define NOINLINE __attribute__((noinline, noclone))
#define AT_NULL 0
#define AT_SYSINFO 32
#define CALL_GETPPID 64
#define CALL_GETPID 20
#define CALL_KILL 37
#define CALL_RT_SIGACTION 174
#define SIGNAL_PLAIN 10 /* SIGUSR1 */
#define SIGNAL_INFO 12	/* SIGUSR2 */
#define WITH_INFO 4	/* SA_SIGINFO */

static volatile unsigned sink;

NOINLINE void compat_leaf(void)
{
	for (unsigned i = 0; i < 1000000; i++)
		__asm__ volatile("" : : : "memory");
}

NOINLINE static void compat_variable(unsigned size)
{
	volatile char bytes[size];
	bytes[0] = 1;
	compat_leaf();
	sink += bytes[0];
}

NOINLINE static void compat_aligned(void)
{
	volatile char bytes[64] __attribute__((aligned(64)));
	bytes[0] = 1;
	compat_leaf();
	sink += bytes[0];
}

NOINLINE static void compat_deep(unsigned depth)
{
	if (depth)
		compat_deep(depth - 1);
	else
		compat_leaf();
	sink++;
}

NOINLINE static void compat_handler(int number)
{
	compat_leaf();
	sink += number;
}

NOINLINE static void compat_handler_with_info(int number)
{
	compat_leaf();
	sink += number;
}

static unsigned entry_of_calls; /* AT_SYSINFO */

NOINLINE static unsigned compat_call(unsigned number, unsigned a, unsigned b, unsigned c, unsigned d)
{
	unsigned result;
	__asm__ volatile("call *%1"
			 : "=a"(result)
			 : "m"(entry_of_calls), "0"(number), "b"(a), "c"(b), "d"(c), "S"(d)
			 : "memory");
	return result;
}

NOINLINE static void compat_calls(void)
{
	for (unsigned i = 0; i < 4000; i++)
		compat_call(CALL_GETPPID, 0, 0, 0, 0);
	sink++;
}

static void handle(int number, void (*handler)(int), unsigned flags)
{
	struct {
		unsigned handler, flags, restorer, mask[2];
	} action = {(unsigned)handler, flags, 0, {0, 0}};
	compat_call(CALL_RT_SIGACTION, number, (unsigned)&action, 0, sizeof(action.mask));
}

NOINLINE static void compat_signals(void)
{
	unsigned pid = compat_call(CALL_GETPID, 0, 0, 0, 0);
	compat_call(CALL_KILL, pid, SIGNAL_PLAIN, 0, 0);
	compat_call(CALL_KILL, pid, SIGNAL_INFO, 0, 0);
	sink++;
}

/* The stack as the kernel leaves it: arguments, environment, auxiliary vector. */
__attribute__((used, noreturn)) static void compat_main(unsigned *stack)
{
	unsigned *at = stack + 1 + *stack + 1;
	while (*at++)
		;
	for (; *at != AT_NULL; at += 2)
		if (*at == AT_SYSINFO)
			entry_of_calls = at[1];
	handle(SIGNAL_PLAIN, compat_handler, 0);
	handle(SIGNAL_INFO, compat_handler_with_info, WITH_INFO);
	for (;;) {
		compat_leaf();
		compat_variable(100 + (sink & 15));
		compat_aligned();
		compat_deep(50);
		compat_calls();
		compat_signals();
	}
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n"
	"\tcall compat_main\n\thlt\n");
