/* SPDX-License-Identifier: Apache-2.0 */
/* The samplers that allocators and runtimes have themselves. Private to the finder. */
#pragma once

#include "binary/allocator.h"
#include "binary/elf_file.h"

#define ALLOCATOR_MAX_SAMPLER_PROBES 2

/* Where a sampler is seen at work; addresses are of functions' entries. */
struct sampler_function {
	const char *name; /* its symbol; static */
	uint64_t address, size;
	uint8_t role;
	uint8_t size_register, pointer_register; /* at the entry, or PROBE_NO_REGISTER */
};

struct allocator_sampler {
	enum allocator_sampling sampling;
	uint64_t interval; /* bytes */
	struct sampler_function functions[ALLOCATOR_MAX_SAMPLER_PROBES];
	size_t function_count;
};

/* Go's memory profiler, by Go's own table of functions. False: not made by Go. */
bool allocator_sampler_find_go(const struct elf_file *elf, struct allocator_sampler *ret);

/* gperftools' sampler, given the address of its symbol. */
#define GPERFTOOLS_SAMPLER_SYMBOL "_ZN8tcmalloc7Sampler20RecordAllocationSlowEm"
void allocator_sampler_of_gperftools(const struct elf_file *elf, uint64_t address, uint64_t size,
				     struct allocator_sampler *ret);
