/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in a function a uprobe is cheap. Private to the finder.
 */
#pragma once

#include "binary/allocator.h"
#include "binary/elf_file.h"

/* A function to be probed; arguments by their register at the entry, or PROBE_NO_REGISTER. */
struct allocator_function {
	uint64_t address, size; /* size in bytes, 0: unknown */
	uint8_t size_register, count_register, pointer_register;
	bool needs_return; /* a return probe is set through the same point */
	bool null_is_trivial; /* a call with a NULL pointer does nothing */
};

struct allocator_point {
	uint64_t address;
	uint8_t flags; /* enum allocator_probe_flag, without PROBE_NESTS */
	uint8_t size_register, count_register, pointer_register; /* there */
};

/* The cheapest instruction that each call passes exactly once while the arguments are in registers; the
 * entry when there is no better one. */
struct allocator_point allocator_point_find(const struct elf_file *elf,
					    const struct allocator_function *function);
