/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor time that each part of unwind_build() takes. The parts are timed from outside: the linker
 * sends calls of their functions through ours (--wrap), so what is measured has no clock in it.
 */
#pragma once

#include <stdint.h>

enum unwind_build_part {
	PART_CFI,     /* .eh_frame and .debug_frame to rows */
	PART_CODE,    /* stubs and trampolines, known by their code */
	PART_GAPS,    /* code that nobody described */
	PART_FLATTEN, /* rows into one order */
	PART_LAYOUT,  /* into pages and palette */
	UNWIND_BUILD_PARTS
};

/* Of the calling thread: other programs on the machine do not count. */
uint64_t cpu_ns(void);

/* Nanoseconds of each part since the last call. */
void unwind_build_parts_take(uint64_t ret[UNWIND_BUILD_PARTS]);
