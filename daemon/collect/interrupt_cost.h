/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a clock tick takes from a program besides our own code: entering and leaving the interrupt, which no
 * statistics show and which on a virtual machine is most of a tick's cost.
 */
#pragma once

#include "collect/opener.h"

/* Where it cannot be measured; of a present machine without a hypervisor. */
#define INTERRUPT_COST_DEFAULT_NS 3000

/*
 * Measures it: fixed work on this thread's CPU, a fast clock without a program on and off by turns. Takes about
 * `most_ns` of one CPU, but 8 ms at least and no more than 40, the longer the more exact; the thread's affinity is
 * as before afterwards. `opener` opens the event, NULL: this process does. Nanoseconds a tick, at least 0; or -errno.
 */
int64_t interrupt_cost_measure(struct opener *opener, uint64_t most_ns);
