/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon puts into the instructions of a program before it is loaded: numbers of the running kernel, and
 * switches (bpf/wire_ticks.h) that cost a tick less there than in memory.
 */
#pragma once

#include "base/attributes.h"

struct bpf_program;

/* Every call of `marker`, which is no helper's number, becomes one of the kernel's function of this number.
 * Returns 0 or -errno. */
int instructions_set_call(struct bpf_program *program, int32_t marker, uint32_t function);

/* Turns a switch on, wherever the program asks for it. Returns 0 or -errno. */
int instructions_switch_on(struct bpf_program *program, int32_t number);
