/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where functions may start in code that nobody described: what unwind_flow.h follows it from.
 */
#pragma once

#include "binary/unwind_flow.h"
#include "binary/unwind_rows.h"

/* Adds to `flow`, after flow_begin(), what the file says of starts in its code: its entry, symbols, relocations
 * and the calls from the described code, which has `described_size` bytes. Returns 0 or -ENOMEM. */
int unwind_starts_add(const struct elf_file *elf, const struct unwind_rows *rows, uint64_t described_size,
		      struct flow *flow);
