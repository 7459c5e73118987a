/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all ticks share with the daemon (union tick_entry in bpf/wire_ticks.h): the settings that it changes while they
 * run, each CPU's clock, and the counters that a clock keeps beside it.
 */
#pragma once

#include "base/attributes.h"
#include "bpf/wire.h"

struct bpf_map;

/* Each function here returns 0 or -errno. */

/* Tells all CPUs the settings; a tick that runs meanwhile may see the old ones. */
int tick_state_publish(const struct bpf_map *ticks, const struct tick_settings *settings);

/* The time of a CPU's first tick is counted from now on. None may come meanwhile; what was counted stays. */
int tick_state_start_clock(const struct bpf_map *ticks, uint32_t cpu);

/* Adds those of a CPU to what else it counts. */
int tick_state_add_counters(const struct bpf_map *ticks, uint32_t cpu, uint64_t counters[COUNTER_MAX]);
