// SPDX-License-Identifier: Apache-2.0
// A chain of 24 C++ functions without frame pointers, always busy at its end: the steady load.
#include <cstdint>
#include <cstdlib>
#include <ctime>

volatile uint64_t sink;

template <int N> __attribute__((noinline)) uint64_t level(uint64_t x)
{
	uint64_t result = level<N - 1>(x + N);
	asm volatile("" ::: "memory"); // keeps the call from becoming a jump
	return result * 3 + N;
}

template <> __attribute__((noinline)) uint64_t level<0>(uint64_t x)
{
	for (int i = 0; i < 200000; i++)
		sink = x = x * 6364136223846793005ULL + 1442695040888963407ULL;
	return x;
}

int main(int argc, char **argv)
{
	time_t end = time(nullptr) + (argc > 1 ? atoi(argv[1]) : 5);
	while (time(nullptr) < end)
		sink = level<21>(sink);
}
