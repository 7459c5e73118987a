/* SPDX-License-Identifier: Apache-2.0 */
/* What probes on allocators cost the process that they are in, measured in a child of our own. */
#pragma once

#include "collect/programs.h"

/* In ns. */
struct heap_prices {
	double call;	 /* of a function that allocates or frees, not sampled */
	double returned; /* on top, when its return is looked at */
	double tick;	 /* of its clock: task_clock.h; 0: it has none */
	double stepped;	 /* on top, on an instruction that the kernel does not emulate */
};

/* What the probes of a process have seen in some time. */
struct heap_hits {
	double calls, returns, walk_ns;
};

/* Takes some 200 ms. What could not be measured is guessed from what could; all by chance and load is too much
 * rather than too little. Nothing may be probed yet. */
void heap_prices_measure(const struct programs *programs, struct heap_prices *ret);

/* In ns. `is_stepped`: some probes stand on instructions that are not emulated. */
double heap_prices_cost(const struct heap_prices *prices, const struct heap_hits *hits, bool is_stepped);
