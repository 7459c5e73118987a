/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a clock tick takes from a program besides our own code: entering and leaving the interrupt, which no
 * statistics show and which on a virtual machine is most of a tick's cost.
 */
#pragma once

#include "collect/opener.h"

/* Where it cannot be measured; of a present machine without a hypervisor. */
#define INTERRUPT_COST_DEFAULT_NS 3000

#define INTERRUPT_COST_SLICE_NS (500 * 1000ULL)

struct interrupt_cost;

/* For the CPU that this thread is on. `opener` opens the event, NULL: this process does. 0 or -errno. */
int interrupt_cost_new(struct opener *opener, struct interrupt_cost **ret);
struct interrupt_cost *interrupt_cost_free(struct interrupt_cost *cost);

/*
 * Measures it where nothing else disturbs: a fast clock without a program interrupts a loop that does nothing but read
 * the time. Takes so many slices of INTERRUPT_COST_SLICE_NS, with pauses as long between them; the thread's affinity is
 * as before afterwards. Nanoseconds a tick, at least 0, by all looks until now: the more, and the further apart, the
 * more exact.
 */
uint64_t interrupt_cost_look(struct interrupt_cost *cost, size_t slices);
