/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory allocators in a binary, and the instructions where probes see what they do. Made by the parser
 * child (ARTIFACT_ALLOCATORS), so allocator_table_open() checks every field.
 *
 * A probe stands for one function of an allocator: where its uprobe goes, which registers hold the
 * arguments there, and what it costs. Aliases (malloc, __libc_malloc) are one probe. Functions that only
 * hand on to another probed one (operator new over malloc, reallocarray over realloc) have none: their call
 * is counted once, where it arrives.
 *
 *	struct allocator_table table;
 *	if (allocator_table_open(artifact, &table) == 0)
 *		for (size_t i = 0; i < table.probe_count; i++)
 *			attach(&table.probes[i], allocator_table_name(&table, &table.probes[i]));
 */
#pragma once

#include "base/attributes.h"
#include "binary/artifact.h"

enum allocator_kind {
	ALLOCATOR_UNKNOWN, /* has malloc and free, of nobody we know */
	ALLOCATOR_GLIBC,
	ALLOCATOR_MUSL,
	ALLOCATOR_JEMALLOC,
	ALLOCATOR_GPERFTOOLS,	   /* tcmalloc of gperftools */
	ALLOCATOR_GOOGLE_TCMALLOC, /* github.com/google/tcmalloc */
	ALLOCATOR_MIMALLOC,
	ALLOCATOR_GO, /* Go's runtime */
	ALLOCATOR_KIND_MAX
};

/*
 * What a call of the function does. "Returns" means that the pointer is known at the return probe; without
 * one, an allocation's address is not known.
 */
enum allocator_role {
	ALLOCATOR_MALLOC = 1,	  /* `size` bytes; returns the block or NULL */
	ALLOCATOR_CALLOC,	  /* `count` times `size` bytes, NULL on overflow */
	ALLOCATOR_REALLOC,	  /* `pointer` (NULL: malloc) becomes `size` bytes (and `count` times, if there
				   * is a count); returns the block, or NULL and the old one stays */
	ALLOCATOR_ALIGNED,	  /* as malloc: memalign, aligned_alloc, valloc, aligned new */
	ALLOCATOR_POSIX_MEMALIGN, /* `size` bytes; returns 0 and the block in *`pointer`, or an error */
	ALLOCATOR_FREE,		  /* `pointer`, NULL allowed */
	ALLOCATOR_SAMPLED,	  /* the allocator's own sampler picked one of `size` bytes; its block is at
				   * `pointer` if there is a register. See allocator_facts */
	ALLOCATOR_SAMPLED_FREE,	  /* a block of `size` bytes that was picked has died */
	ALLOCATOR_ROLE_MAX
};

enum allocator_probe_flag {
	/* The kernel emulates the instruction: a tenth of the cost of single-stepping it. */
	PROBE_EMULATED = 1 << 0,
	/* The stack pointer (arm64: the link register) is as at the function's entry: a return probe may be set
	 * through this very point (uprobe.session, or a uretprobe at `offset`). So it is for all that allocate. */
	PROBE_CAN_RETURN = 1 << 1,
	/* May call another probed function of this binary for the same request (realloc(NULL) -> malloc). */
	PROBE_NESTS = 1 << 2,
	/* Does not stand at the function's first byte, and calls with a NULL or other trivial argument may
	 * have left before it: free(NULL). */
	PROBE_SKIPS_TRIVIAL = 1 << 3,
};

/* Registers are named by DWARF's numbers, as in the BPF side's scratch: x86-64: rax 0, rdx 1, rcx 2, rbx 3,
 * rsi 4, rdi 5, rbp 6, rsp 7, r8 to r15; arm64: x0 to x30. */
#define PROBE_NO_REGISTER 0xff
#define PROBE_REGISTER_LIMIT 31

struct allocator_probe {
	uint64_t offset; /* file offset of the instruction: what a uprobe takes */
	uint64_t entry;	 /* file offset of the function's first byte */
	uint32_t name;	 /* see allocator_table_name() */
	uint8_t role;	 /* enum allocator_role */
	uint8_t kind;	 /* enum allocator_kind */
	uint8_t flags;	 /* enum allocator_probe_flag */
	uint8_t size;	 /* register at `offset`, or PROBE_NO_REGISTER */
	uint8_t count;	 /* same */
	uint8_t pointer; /* same */
	uint8_t padding[6];
};

/* How an allocator samples by itself. The probes on it cost next to nothing: they are hit once in
 * `interval` bytes of allocations, and have the roles ALLOCATOR_SAMPLED and ALLOCATOR_SAMPLED_FREE. */
enum allocator_sampling {
	SAMPLING_NONE,
	/* At exponentially distributed distances with the mean `interval`, unless the program chose another
	 * one: a block of S bytes is picked with the probability 1 - exp(-S / interval). */
	SAMPLING_POISSON,
	/* Every `interval` bytes of one thread, the allocation that fills them up: stands for `interval` bytes.
	 * With the allocator's sampling turned on (environment, API) its distances are exponential and its
	 * own. */
	SAMPLING_TICK,
	SAMPLING_MAX
};

/* One allocator of the binary; there may be several (Rust's jemalloc beside a static libc). */
struct allocator_facts {
	uint32_t kind;	      /* enum allocator_kind */
	uint32_t first_probe; /* its probes follow each other, those of its sampler last */
	uint32_t probe_count;
	uint32_t sampling; /* enum allocator_sampling */
	uint64_t interval; /* bytes; 0 without sampling */
};

#define ALLOCATOR_MAX_FACTS 8
#define ALLOCATOR_MAX_PROBES 256

/* Points into the artifact. */
struct allocator_table {
	const struct allocator_facts *facts;
	size_t facts_count;
	const struct allocator_probe *probes;
	size_t probe_count;
	const char *names;
	size_t names_size;
};

/* The contents of an ARTIFACT_ALLOCATORS. Returns 0, -ENODATA (the binary has none) or -EBADMSG. */
int allocator_table_open(const struct artifact *artifact, struct allocator_table *ret);

/* The function's symbol, as in the file: "malloc", "_Znwm". */
const char *allocator_table_name(const struct allocator_table *table,
				 const struct allocator_probe *probe);

/* For people and in profiles: "glibc", "gperftools"; "malloc", "free". "?" when out of range. */
const char *allocator_kind_name(enum allocator_kind kind);
const char *allocator_role_name(enum allocator_role role);
