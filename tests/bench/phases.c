/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on every CPU in phases, whose truth others can read: which of the functions work_0 … took how much CPU time in
 * each phase. Odd phases are calm: one CPU works a twentieth of the time, in pieces at random. Even ones are a storm:
 * all of every CPU. Each phase has shares of its own: the k-th function in its order gets 1 / (k + 1).
 *
 *	phases FILE STORM_MS CALM_MS PHASES
 *
 * FILE becomes u64[PHASES][1 + FUNCTIONS]: when the phase ends (CLOCK_REALTIME, ns), then CPU time by function, ns. With
 * CALM_MS 0 there are only storms.
 */
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FUNCTIONS 32
#define ROUNDS 40000 /* of a piece of work: some 0.1 ms */
#define CALM_DUTY 20 /* one part in so many */

/* WORK(number): two functions of the same text would become one. */
#define WORK(number)                                                                \
	static __attribute__((noinline)) void work_##number(void)                   \
	{                                                                           \
		uint64_t x = (number) + 1;                                          \
		for (int i = 0; i < ROUNDS; i++)                                    \
			__asm__ volatile("" : "+r"(x) : "i"(number));               \
	}
#define EIGHT(DO, a) DO(a##0) DO(a##1) DO(a##2) DO(a##3) DO(a##4) DO(a##5) DO(a##6) DO(a##7)
EIGHT(WORK, 1)
EIGHT(WORK, 2)
EIGHT(WORK, 3)
EIGHT(WORK, 4)

#define POINTER(number) work_##number,
static void (*const functions[FUNCTIONS])(void) = {EIGHT(POINTER, 1) EIGHT(POINTER, 2) EIGHT(POINTER, 3)
							   EIGHT(POINTER, 4)};

struct phase {
	uint64_t end;
	uint64_t ns[FUNCTIONS];
};

static uint64_t now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double chance(void)
{
	return drand48();
}

/* The function that a piece of work in this phase is of. */
static int draw(int phase)
{
	double sum = 0;
	for (int k = 0; k < FUNCTIONS; k++)
		sum += 1.0 / (k + 1);
	double left = chance() * sum;
	int k = 0;
	while (k < FUNCTIONS - 1 && (left -= 1.0 / (k + 1)) > 0)
		k++;
	return (k * 5 + phase * 11) % FUNCTIONS; /* 5 and the number of functions have no common divisor */
}

static void work(struct phase *phase, int number)
{
	uint64_t before = now(CLOCK_THREAD_CPUTIME_ID);
	while (now(CLOCK_REALTIME) < phase->end) {
		int function = draw(number);
		functions[function]();
		uint64_t after = now(CLOCK_THREAD_CPUTIME_ID);
		__atomic_fetch_add(&phase->ns[function], after - before, __ATOMIC_RELAXED);
		before = after;
		if (number % 2 == 1)
			usleep((useconds_t)(-log(1 - chance()) * 100 * (CALM_DUTY - 1)));
	}
}

static void run(int cpu, struct phase *phases, int count, int step)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	srand48(cpu + 1);
	for (int i = 0; i < count; i++)
		if (cpu == 0 || (i * step) % 2 == 0)
			work(&phases[i], i * step);
		else
			while (now(CLOCK_REALTIME) < phases[i].end)
				usleep(10000);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	uint64_t storm = strtoull(argv[2], NULL, 10) * 1000000, calm = strtoull(argv[3], NULL, 10) * 1000000;
	int count = atoi(argv[4]), step = calm ? 1 : 2, cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	size_t size = (size_t)count * sizeof(struct phase);
	int fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (count <= 0 || fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return 1;
	struct phase *phases = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (phases == MAP_FAILED)
		return 1;
	uint64_t end = now(CLOCK_REALTIME);
	for (int i = 0; i < count; i++)
		phases[i].end = end += (i * step) % 2 == 0 ? storm : calm;
	for (int cpu = 0; cpu < cpus; cpu++)
		if (fork() == 0)
			run(cpu, phases, count, step);
	while (wait(NULL) > 0)
		;
	return 0;
}
