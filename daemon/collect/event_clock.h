/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a tick's program to the kernel's own record of its event (bpf/event_clock.bpf.h): the number of
 * bpf_cast_to_kern_ctx() in the running kernel, put where the program calls it.
 */
#pragma once

#include "base/attributes.h"

struct bpf_program;

#define EVENT_CLOCK_FUNCTION "bpf_cast_to_kern_ctx"

/* May a program call the function of this number? Tried with a small one. */
bool event_clock_probe(uint32_t function);

/* Puts the number into a program that is not loaded yet, and turns its clock on. Returns 0 or -errno. */
int event_clock_set_function(struct bpf_program *program, uint32_t function);
