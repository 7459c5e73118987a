/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go (runtime/mprof.go, runtime/malloc.go): mallocgc() calls profilealloc(mp, block, size) for one
 * allocation in MemProfileRate bytes (512 KiB unless the program sets it), at exponentially distributed
 * distances; the sweeper calls mProf_Free(bucket, size) for each sampled block that died. The linker turns
 * all of it off when nothing in the program can read the profile, that is without runtime.MemProfile
 * (since Go 1.23 runtime.memProfileInternal; cmd/link/internal/ld/deadcode.go). Registers: Go's internal ABI (cmd/compile/abi-internal.md).
 *
 * gperftools (sampler.cc): each thread counts bytes down and enters RecordAllocationSlow(this, size) with
 * the allocation that uses them up. Unless the program or its environment turned sampling on, nothing is
 * sampled there and the count starts again at 16 MiB: a tick that everybody pays for already.
 */
#include "binary/allocator_sampler.h"

#include "binary/go_table.h"

#include <string.h>

#define GO_INTERVAL (512ULL << 10)
#define GPERFTOOLS_INTERVAL (16ULL << 20)

/* Go's first three integer registers by DWARF's number: rax, rbx, rcx; x0, x1, x2. */
static uint8_t go_register(const struct elf_file *elf, size_t position)
{
	static const uint8_t x86[] = {0, 3, 2};
	return elf->machine == EM_X86_64 ? x86[position] : (uint8_t)position;
}

static void add_go_function(const struct elf_file *elf, const char *name,
			    const struct go_function *function, struct allocator_sampler *ret)
{
	bool allocates = !strcmp(name, "runtime.profilealloc");
	if (!allocates && strcmp(name, "runtime.mProf_Free"))
		return;
	if (ret->function_count == ALLOCATOR_MAX_SAMPLER_PROBES)
		return;
	ret->functions[ret->function_count++] = (struct sampler_function){
		.name = allocates ? "runtime.profilealloc" : "runtime.mProf_Free",
		.address = function->address,
		.size = function->end - function->address,
		.role = allocates ? ALLOCATOR_SAMPLED : ALLOCATOR_SAMPLED_FREE,
		.size_register = go_register(elf, allocates ? 2 : 1),
		.pointer_register = allocates ? go_register(elf, 1) : PROBE_NO_REGISTER,
	};
}

bool allocator_sampler_find_go(const struct elf_file *elf, struct allocator_sampler *ret)
{
	struct go_table table;
	struct go_function function;
	bool can_be_read = false;
	if (go_table_open(elf, &table) < 0)
		return false;
	*ret = (struct allocator_sampler){.sampling = SAMPLING_NONE};
	for (uint32_t i = 0; i < table.function_count; i++) {
		if (!go_table_function(&table, i, &function))
			continue;
		const char *name = go_function_name(&table, &function);
		if (strncmp(name, "runtime.", 8))
			continue;
		can_be_read |= !strcmp(name, "runtime.MemProfile") ||
			       !strcmp(name, "runtime.memProfileInternal");
		add_go_function(elf, name, &function, ret);
	}
	if (can_be_read && ret->function_count) {
		ret->sampling = SAMPLING_POISSON;
		ret->interval = GO_INTERVAL;
	} else {
		ret->function_count = 0;
	}
	return true;
}

void allocator_sampler_of_gperftools(const struct elf_file *elf, uint64_t address, uint64_t size,
				     struct allocator_sampler *ret)
{
	bool is_x86 = elf->machine == EM_X86_64;
	*ret = (struct allocator_sampler){
		.sampling = SAMPLING_TICK,
		.interval = GPERFTOOLS_INTERVAL,
		.functions = {{.name = GPERFTOOLS_SAMPLER_SYMBOL,
			       .address = address,
			       .size = size,
			       .role = ALLOCATOR_SAMPLED,
			       .size_register = is_x86 ? 4 : 1, /* the second argument */
			       .pointer_register = PROBE_NO_REGISTER}},
		.function_count = 1,
	};
}
