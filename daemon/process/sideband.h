/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side-band stream: fork, exec, exit, thread names and executable mappings of every
 * process, and code that the kernel makes for itself, from one dummy software perf event per CPU (attr.task, comm,
 * comm_exec, mmap, mmap2, ksymbol; CLOCK_MONOTONIC; device and inode in MMAP2, not build ids, because the inode is what
 * the BPF side knows a file by). Records of all CPUs are delivered in order of time.
 *
 * Source of the record layouts: linux/perf_event.h.
 */
#pragma once

#include "base/attributes.h"
#include "base/loop.h"

#include <linux/perf_event.h>

enum sideband_kind {
	SIDEBAND_FORK,
	SIDEBAND_EXEC,
	SIDEBAND_COMM,
	SIDEBAND_MMAP,
	SIDEBAND_EXIT,
	SIDEBAND_CODE_COMES, /* of the kernel, such as a BPF program's: it may run from now on */
	SIDEBAND_CODE_GOES,
};

struct sideband_record {
	enum sideband_kind kind;
	uint64_t time; /* CLOCK_MONOTONIC ns */
	uint32_t pid, tid; /* 0 of CODE */
	uint32_t parent_pid, parent_tid; /* FORK */
	char comm[16];			 /* EXEC, COMM: NUL-terminated */
	/* MMAP, executable mappings only: */
	uint64_t start, length, offset, inode;
	uint32_t device; /* kernel encoding: major << 20 | minor */
	const char *path; /* as the kernel prints it; valid during the callback */
	/* CODE, with start and length: */
	const char *name; /* as /proc/kallsyms has it; valid during the callback */
};

struct sideband;

/* Opens a perf event: perf_event_open(attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC) or somebody with more
 * rights doing it. Returns the descriptor or -errno. */
typedef int (*perf_opener)(void *userdata, struct perf_event_attr *attr, int cpu);

typedef void (*sideband_callback)(void *userdata, const struct sideband_record *record);

struct sideband_statistics {
	uint64_t records, lost; /* lost: told by PERF_RECORD_LOST */
	uint64_t bytes;
};

/* `buffer_pages` per CPU, a power of two (0: default). Wakes `loop` (may be NULL) only when a buffer
 * is half full, and then only sets the records aside: whoever owns the sideband drains it on its
 * own timer. Returns 0 or -errno. */
int sideband_new(struct loop *loop, size_t buffer_pages, perf_opener opener, void *opener_userdata,
		 struct sideband **ret);
struct sideband *sideband_free(struct sideband *sideband);

/* Starts reading a CPU that came online; forgets one that went, once what it wrote is delivered.
 * Returns 0, -EEXIST or -errno. */
int sideband_add_cpu(struct sideband *sideband, int cpu);
void sideband_remove_cpu(struct sideband *sideband, int cpu);

/* Closes the events of all CPUs now; what they wrote and was not drained is given up. It can be added to again. */
void sideband_close(struct sideband *sideband);

/* Delivers every record with time <= `until_ns` in order of time; keeps later ones for the next
 * call. A record that was published too late comes with the next call, older than what was delivered
 * before. Always returns 0: what cannot be set aside stays in the ring, where the kernel counts. */
int sideband_drain(struct sideband *sideband, uint64_t until_ns, sideband_callback callback,
		   void *userdata);

/* Time of the oldest record that the last drain met and did not deliver; UINT64_MAX: there was none. */
uint64_t sideband_next_time(const struct sideband *sideband);

/* True once after records were lost: the owner rescans /proc. */
bool sideband_take_loss(struct sideband *sideband);
void sideband_get_statistics(const struct sideband *sideband, struct sideband_statistics *ret);
