/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/tick_state.h"

#include "base/clock.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

static int write_entry(const struct bpf_map *ticks, uint32_t key, const union tick_entry *entry)
{
	return bpf_map_update_elem(bpf_map__fd(ticks), &key, entry, BPF_ANY) < 0 ? -errno : 0;
}

static int read_clock(const struct bpf_map *ticks, uint32_t cpu, union tick_entry *ret)
{
	uint32_t key = TICK_CPUS + cpu;
	return bpf_map_lookup_elem(bpf_map__fd(ticks), &key, ret) < 0 ? -errno : 0;
}

int tick_state_publish(const struct bpf_map *ticks, const struct tick_settings *settings)
{
	union tick_entry entry = {.settings = *settings};
	return write_entry(ticks, TICK_SETTINGS, &entry);
}

int tick_state_start_clock(const struct bpf_map *ticks, uint32_t cpu)
{
	union tick_entry entry;
	int r = read_clock(ticks, cpu, &entry);
	if (r < 0)
		return r;
	entry.clock.previous_tick = monotonic_ns();
	entry.clock.compared_at = entry.clock.monotonic_offset = 0;
	return write_entry(ticks, TICK_CPUS + cpu, &entry);
}

int tick_state_add_counters(const struct bpf_map *ticks, uint32_t cpu, uint64_t counters[COUNTER_MAX])
{
	union tick_entry entry;
	int r = read_clock(ticks, cpu, &entry);
	if (r < 0)
		return r;
	counters[COUNTER_TICKS] += entry.clock.ticks;
	counters[COUNTER_UNSELECTED] += entry.clock.unselected;
	counters[COUNTER_UNSELECTED_NS] += entry.clock.unselected_ns;
	counters[COUNTER_IDLE] += entry.clock.idle;
	counters[COUNTER_IDLE_NS] += entry.clock.idle_ns;
	return 0;
}
