/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opener: a small confined process that keeps CAP_SYS_ADMIN, so that the daemon, which reads other
 * people's files and talks to the network, never has it. It opens what that capability is needed for
 * and passes descriptors: clock and side-band events where kernel.perf_event_paranoid is 3 or more, on
 * CPUs that come later too, and the run-time statistics of BPF programs. It can do nothing else.
 */
#pragma once

#include "base/attributes.h"

#include <linux/perf_event.h>

struct opener;

/* Can the opener do anything that this process could not do without CAP_SYS_ADMIN? True where it has
 * that capability. */
bool opener_is_useful(void);

/*
 * Starts the opener from this executable, then gives CAP_SYS_ADMIN up in this process for good: call it
 * before threads are made. Returns 0 or -errno; then the capability is as it was.
 */
int opener_start(struct opener **ret);

/* Ends the process. Accepts NULL, returns NULL. */
struct opener *opener_free(struct opener *opener);

/* perf_event_open(2) for all processes on one CPU; the signature of perf_opener, `userdata` is the
 * opener. Only software clock, dummy and page fault events are opened. Waits two seconds at most. Returns a
 * descriptor that the caller closes or -errno: -EPIPE when the opener has ended, -ETIMEDOUT. */
int opener_open_event(void *userdata, struct perf_event_attr *attr, int cpu);

/* A descriptor that keeps the statistics of BPF programs (run_time_ns) on while it is open, which costs
 * each run some 20 ns; or -errno. */
int opener_enable_bpf_statistics(struct opener *opener);

/* Of its process. */
uint32_t opener_pid(const struct opener *opener);

/* CPU time the process used so far, ns; 0 when it cannot be told. */
uint64_t opener_cpu_ns(const struct opener *opener);

/* The argument that makes main() call opener_child_main(). */
#define OPENER_ARGUMENT "opener-child"

/* The inside: serves descriptor 3 until the daemon closes it. Returns an exit status. */
int opener_child_main(void);
