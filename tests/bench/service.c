/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of very many programs on a host: a few hundred functions, some of which it runs now and then.
 *
 *	service BURST_US PERIOD_MS      works so long every period, until it is killed
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DEPTH 12

typedef int (*function)(int);
extern const function functions[256];

/* A frame of its own size, and a call to some other function. */
#define FUNCTION(n)                                                                    \
	__attribute__((noinline)) static int function_##n(int depth)                   \
	{                                                                              \
		volatile char frame[16 + (0x##n & 15) * 8];                            \
		frame[0] = (char)depth;                                                \
		if (depth)                                                             \
			frame[0] ^= (char)functions[(0x##n * 7 + depth) & 255](depth - 1); \
		return frame[0] + 1;                                                   \
	}
#define SIXTEEN(with, n)                                                               \
	with(n##0) with(n##1) with(n##2) with(n##3) with(n##4) with(n##5) with(n##6) with(n##7) \
	with(n##8) with(n##9) with(n##a) with(n##b) with(n##c) with(n##d) with(n##e) with(n##f)
#define ALL(with)                                                                      \
	SIXTEEN(with, 0) SIXTEEN(with, 1) SIXTEEN(with, 2) SIXTEEN(with, 3) SIXTEEN(with, 4) SIXTEEN(with, 5) \
	SIXTEEN(with, 6) SIXTEEN(with, 7) SIXTEEN(with, 8) SIXTEEN(with, 9) SIXTEEN(with, a) SIXTEEN(with, b) \
	SIXTEEN(with, c) SIXTEEN(with, d) SIXTEEN(with, e) SIXTEEN(with, f)
#define ENTRY(n) function_##n,

ALL(FUNCTION)
const function functions[256] = {ALL(ENTRY)};

static double seconds(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double burst = argc > 1 ? atof(argv[1]) / 1e6 : 0.001;
	useconds_t period_us = (useconds_t)(argc > 2 ? atoi(argv[2]) : 1000) * 1000;
	int sum = 0;
	/* Not all at once. */
	usleep((useconds_t)((unsigned int)getpid() * 2654435761U % period_us));
	for (;;) {
		double end = seconds(CLOCK_PROCESS_CPUTIME_ID) + burst;
		for (int i = 0; seconds(CLOCK_PROCESS_CPUTIME_ID) < end; i++)
			for (int k = 0; k < 50; k++)
				sum += functions[(i + k) & 255](DEPTH);
		usleep(period_us + (useconds_t)(sum & 1));
	}
}
