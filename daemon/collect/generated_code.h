/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that the kernel makes while it runs, BPF programs, their trampolines and those of probes: what lay where, and
 * when. A program that lives for a second has its name in a profile made later, and one that takes the place of
 * another does not get what that was sampled with.
 *
 * The kernel's side-band tells of what comes and goes while it is read (PERF_RECORD_KSYMBOL, process/sideband.h);
 * what was there before is asked for when it is met (bpf_symbols.h, profile/kernel_names.h).
 */
#pragma once

#include "base/array.h"
#include "base/attributes.h"

struct generated_function {
	uint64_t start, size;	    /* addresses of the kernel */
	uint64_t from_ns, until_ns; /* CLOCK_MONOTONIC; 0: before all that is known; UINT64_MAX: it is there */
	bool is_doubtful; /* it may be there still, but nothing is told of it any more */
	char *name; /* owned; as /proc/kallsyms has it: "bpf_prog_<tag>_<function>", "bpf_trampoline_<number>" */
};

/* Zero-initialised it is empty; generated_code_free(). */
struct generated_code {
	ARRAY(struct generated_function) functions;
	uint64_t lowest, highest; /* all lie between; highest 0: there is none */
	size_t gone;		  /* of the functions, those that are no more there */
	bool is_reused;		  /* some lie where another one, with another name, had lain */
	uint64_t forgotten;	  /* functions for whose names there was no room, or no memory */
	uint32_t doubts;	  /* how often generated_code_doubt() was called: whoever asked the kernel asks anew */
};

/* Most functions that are kept, and most of them that are gone: the oldest of these are forgotten. */
#define GENERATED_CODE_MAX 16384
#define GENERATED_CODE_MAX_GONE 4096

/* A function is there since `from_ns`; what it covers of others has gone then. The name is copied. Returns 1 when
 * one with another name lay there before, so that its addresses mean something else from now on, otherwise 0;
 * -ENOMEM; or -EINVAL, for what can be no function. */
int generated_code_add(struct generated_code *code, uint64_t start, uint64_t size, const char *name, uint64_t from_ns);

/* It has gone. If it was not known, it is now. Returns 0, -ENOMEM or -EINVAL. */
int generated_code_remove(struct generated_code *code, uint64_t start, uint64_t size, const char *name,
			  uint64_t until_ns);

/* The function that was at the address at that time, or a moment before or after; NULL: none is known. Valid until
 * the next change. */
const struct generated_function *generated_code_find(const struct generated_code *code, uint64_t address,
						     uint64_t time_ns);

/* From now on nothing is told of what comes and goes. What was there is until now; added again, it was all the time. */
void generated_code_doubt(struct generated_code *code, uint64_t now_ns);

/* Is, or was, any at the address, without a doubt? */
bool generated_code_covers(const struct generated_code *code, uint64_t address);

/* Where /proc/kallsyms says that such a function belongs: "bpf", "__builtin__ftrace", "__builtin__kprobes". */
const char *generated_code_module(const struct generated_function *function);

/* Has a function of this name lain there, until then or later? */
bool generated_code_knows(const struct generated_code *code, uint64_t start, const char *name, uint64_t since_ns);

void generated_code_free(struct generated_code *code);
