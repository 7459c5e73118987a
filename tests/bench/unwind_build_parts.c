/* SPDX-License-Identifier: Apache-2.0 */
#include "unwind_build_parts.h"

#include "base/clock.h"
#include "binary/cfi.h"
#include "binary/unwind_code.h"
#include "binary/unwind_flatten.h"
#include "binary/unwind_gaps.h"
#include "binary/unwind_layout.h"

#include <string.h>

static uint64_t parts[UNWIND_BUILD_PARTS];

uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void unwind_build_parts_take(uint64_t ret[UNWIND_BUILD_PARTS])
{
	memcpy(ret, parts, sizeof(parts));
	memset(parts, 0, sizeof(parts));
}

#define TIMED(part, call)                        \
	({                                       \
		uint64_t _start = cpu_ns();      \
		int _r = (call);                 \
		parts[part] += cpu_ns() - _start; \
		_r;                              \
	})

int __real_cfi_read(const struct elf_file *elf, const struct cfi_section *section,
		    struct unwind_rows *rows, struct cfi_statistics *statistics);
int __wrap_cfi_read(const struct elf_file *elf, const struct cfi_section *section,
		    struct unwind_rows *rows, struct cfi_statistics *statistics);
int __wrap_cfi_read(const struct elf_file *elf, const struct cfi_section *section,
		    struct unwind_rows *rows, struct cfi_statistics *statistics)
{
	return TIMED(PART_CFI, __real_cfi_read(elf, section, rows, statistics));
}

int __real_unwind_code_read(const struct elf_file *elf, struct unwind_rows *rows);
int __wrap_unwind_code_read(const struct elf_file *elf, struct unwind_rows *rows);
int __wrap_unwind_code_read(const struct elf_file *elf, struct unwind_rows *rows)
{
	return TIMED(PART_CODE, __real_unwind_code_read(elf, rows));
}

int __real_unwind_gaps_read(const struct elf_file *elf, enum unwind_gaps_effort effort,
			    struct unwind_rows *rows);
int __wrap_unwind_gaps_read(const struct elf_file *elf, enum unwind_gaps_effort effort,
			    struct unwind_rows *rows);
int __wrap_unwind_gaps_read(const struct elf_file *elf, enum unwind_gaps_effort effort,
			    struct unwind_rows *rows)
{
	return TIMED(PART_GAPS, __real_unwind_gaps_read(elf, effort, rows));
}

int __real_unwind_flatten(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
			  struct unwind_flat *ret);
int __wrap_unwind_flatten(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
			  struct unwind_flat *ret);
int __wrap_unwind_flatten(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
			  struct unwind_flat *ret)
{
	return TIMED(PART_FLATTEN, __real_unwind_flatten(rows, merge, outside, ret));
}

int __real_unwind_layout(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
			 struct unwind_image *ret);
int __wrap_unwind_layout(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
			 struct unwind_image *ret);
/* Flattening is within it, and counts apart. */
int __wrap_unwind_layout(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
			 struct unwind_image *ret)
{
	uint64_t before = parts[PART_FLATTEN];
	int r = TIMED(PART_LAYOUT, __real_unwind_layout(rows, merge, outside, ret));
	parts[PART_LAYOUT] -= parts[PART_FLATTEN] - before;
	return r;
}
