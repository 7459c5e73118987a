/* SPDX-License-Identifier: Apache-2.0 */
/* A workload whose shares are known: three loops of burn_hot() for one of burn_cool(), called by burn(). */
#include <stdint.h>

#define LOOPS 1000000

static volatile uint64_t sink;

__attribute__((noinline)) static void burn_hot(unsigned times)
{
	for (unsigned i = 0; i < times * LOOPS; i++)
		sink += i;
}

__attribute__((noinline)) static void burn_cool(unsigned times)
{
	for (unsigned i = 0; i < times * LOOPS; i++)
		sink -= i;
}

__attribute__((noinline)) static void burn(void)
{
	burn_hot(3);
	burn_cool(1);
	sink++;
}

int main(void)
{
	for (;;)
		burn();
}
