/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 32-bit program without a C library, which few hosts have for it: it burns CPU time until it is killed.
 */
void compat_leaf(void);

__attribute__((noinline)) void compat_leaf(void)
{
	for (unsigned i = 0; i < 1000000; i++)
		__asm__ volatile("" : : : "memory");
}

void _start(void);

void _start(void)
{
	for (;;)
		compat_leaf();
}
