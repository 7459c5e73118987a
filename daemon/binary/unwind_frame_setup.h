/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large code that nobody described and that is too much to follow, but keeps frame pointers: the
 * built-in functions that V8 compiles into node and browsers are 1.6 MB of it, below every stack of
 * JavaScript. There each frame starts with `push %rbp; mov %rsp, %rbp`, so the caller is found
 * through the frame record at %rbp; only a function that has just been entered, or that needs no
 * frame, hides its caller, as in any code that is walked by frame pointers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* In less code chance could decide. */
#define UNWIND_LEAST_FRAME_SETUPS (64U << 10)

/* Judged by how often a frame is set up in `size` bytes of x86-64 code: the compilers' own code sets none
 * up without describing it. False for less than UNWIND_LEAST_FRAME_SETUPS. */
bool unwind_keeps_frame_pointers(const unsigned char *bytes, uint64_t size);
