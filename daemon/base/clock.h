/* SPDX-License-Identifier: Apache-2.0 */
/* Clock readings in nanoseconds. Samples and side-band records carry CLOCK_MONOTONIC. */
#pragma once

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

#define NS_PER_SECOND 1000000000ULL
#define NS_PER_MS 1000000ULL

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec t = {0}; /* a process's clock ends with it */
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static inline uint64_t monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* CPU time of the calling thread. */
static inline uint64_t thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* CPU time that a process which has not been waited for used so far, ns: of threads that run, as of the last tick of their
 * CPUs; 0 when it cannot be told. */
static inline uint64_t process_cpu_ns(pid_t pid)
{
	/* As clock_getcpuclockid() has it, which asks the kernel whether there is one: a system call for what reading it
	 * tells. The number negated, and the kind: sched, the exact one. The kernel's ABI, linux/posix-timers.h. */
	clockid_t clock = (clockid_t)(~(uint32_t)pid << 3 | 2);
	return clock_ns(clock);
}

/* CPU time of a process that has been waited for (wait4()). */
static inline uint64_t rusage_cpu_ns(const struct rusage *used)
{
	return ((uint64_t)used->ru_utime.tv_sec + (uint64_t)used->ru_stime.tv_sec) * NS_PER_SECOND +
	       ((uint64_t)used->ru_utime.tv_usec + (uint64_t)used->ru_stime.tv_usec) * 1000;
}

static inline uint64_t realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

static inline double ns_to_seconds(uint64_t ns)
{
	return (double)ns / (double)NS_PER_SECOND;
}

#define UTC_TEXT_SIZE sizeof("2026-11-25T10:00:00Z")

/* "2026-11-25T10:00:00Z" for ns since 1970, into the buffer, which is returned; "" past the year 9999. */
static inline const char *utc_text(uint64_t realtime, char buffer[static UTC_TEXT_SIZE])
{
	struct tm utc;
	time_t second = (time_t)(realtime / NS_PER_SECOND);
	if (!gmtime_r(&second, &utc) || !strftime(buffer, UTC_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc))
		buffer[0] = '\0';
	return buffer;
}
