/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes on the allocators of selected processes (bpf/heap.bpf.h): which processes are selected, and which of
 * their files hold allocators. Setting and removing them is the work of heap_windows.h. A probe stands in no
 * process but the one it is for, and in copies that it forks, where nothing is counted.
 *
 * Processes are judged when they map a file, and once a second, since names, cgroups and programs change.
 * Their number is bounded: one hit goes by the probes of all processes that are probed in that file. Where more are
 * selected, those that run have the places: one that has not run for some seconds yields its own to one that does.
 *
 * Setting and removing probes takes milliseconds of the kernel's time. Where many processes are selected most are too
 * short to be worth it: a program is not probed before it has run for `least_age_ns`; those that end before are counted.
 */
#pragma once

#include "collect/binaries.h"
#include "collect/heap_windows.h"
#include "collect/programs.h"

#define HEAP_DEFAULT_PROCESSES 64

/* A file that a selected process maps. */
struct probed_file {
	uint64_t inode;
	uint32_t device;
	bool is_settled; /* probed, or there is nothing to probe */
};

/* A process that is selected. */
struct probed_process {
	uint32_t pid, index; /* in `heap_processes` */
	uint64_t life, program; /* see struct process: `life`, and `number` of the program that it runs */
	bool has_threads;
	uint64_t seen;	/* the last judgement at which it was there */
	bool maps_read; /* its files from before it was selected are known */
	bool is_added;	/* to the windows: it has an allocator */
	double factor;	/* processes it stands for */
	uint64_t cpu_ns, ran; /* its CPU time at the last judgement; the last one before which it used some */
	ARRAY(struct probed_file) files;
};

struct heap_probes_options {
	struct programs *programs;
	const struct binaries *binaries;
	struct process_table *table;
	struct heap_windows *windows;
	size_t processes; /* at most; 0: HEAP_DEFAULT_PROCESSES */
	uint64_t least_age_ns; /* of a program; 0: it is probed at once */
	bool keep_places; /* what was probed first stays so: every call is to be seen */
	/* Is the process one to look at? */
	bool (*is_selected)(void *userdata, struct process *process);
	/* Of one that is, and old enough: how many processes it stands for, as others are left out by chance; 0: it is
	 * left out. */
	double (*weigh)(void *userdata, struct process *process);
	void *userdata;
};

struct heap_probes_statistics {
	uint64_t processes;	    /* that are probed now, or will be */
	uint64_t processes_refused; /* for there were too many */
	uint64_t processes_yielded; /* that did not run, and left their places to others that did */
	uint64_t probes;	    /* set so far */
	uint64_t failed;	    /* files of a process whose probes the kernel refused */
	uint64_t missed;	    /* processes that ended before their files were looked into */
	uint64_t brief;		    /* programs that ended, or became others, before they had run for `least_age_ns` */
	uint64_t leaderless;	    /* processes that are not looked at, for their main thread has ended */
};

struct heap_probes {
	struct heap_probes_options options; /* no `windows`: not begun */
	struct hash by_pid;	  /* pid -> struct probed_process *, owned */
	struct hash indices;	  /* in use, of `heap_processes` */
	struct hash refused;	  /* pid -> the last judgement that refused it */
	struct hash refused_cpu;  /* pid of one of these -> its CPU time at the last judgement, ns */
	struct hash young;	  /* number of a program -> the last judgement at which it was too young */
	struct hash ended;	  /* number of a program that the table still takes for alive -> the last judgement */
	struct hash leaderless;	  /* pid -> the judgement that found it so; 0: it has been told */
	uint64_t begin_ns, judged_ns, judgement;
	uint64_t vain_ns; /* when ended ones were looked for last, and there was none */
	uint64_t all_run; /* the judgement at which no place was found idle */
	uint32_t last_index;
	struct heap_probes_statistics statistics;
};

/* What the options name stays the caller's. */
void heap_probes_begin(struct heap_probes *heap, const struct heap_probes_options *options, uint64_t now_ns);

/* A process maps a file. Returns whether the process is one that is looked at. */
bool heap_probes_on_mapping(struct heap_probes *heap, struct process *process,
			    const struct process_mapping *mapping);

/* Judges anew, and probes what has become known since; call it several times a second. */
void heap_probes_update(struct heap_probes *heap, uint64_t now_ns);

/* Forgets all processes. Their probes are those of the windows. Idempotent. */
void heap_probes_end(struct heap_probes *heap);

/* A probe's attach cookie, see HEAP_COOKIE_SIZE. `process`: index in `heap_processes`. */
uint64_t heap_probe_cookie(const struct allocator_probe *probe, uint32_t process);
