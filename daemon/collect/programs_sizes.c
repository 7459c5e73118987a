/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many entries each map has. A map that this recording does not use has one: all have the memory for their entries
 * from the start, except hash maps on kernels that let them grow on demand.
 */
#include "collect/programs_state.h"

#include "base/array.h"
#include "bolometer.skel.h"
#include "collect/contexts.h"
#include "collect/tick_state.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#define SELECTED_PIDS 16384
#define HEAP_SITES 65536
#define HEAP_WINDOW_SITES 4096 /* in one window */
#define HEAP_BLOCKS (1U << 20)
#define HEAP_CALLS 8192 /* threads within an allocator at one moment */

/* May a hash map without preallocation be used by perf_event programs? Since 6.1; tried, not guessed:
 * a program that looks into such a map is loaded. */
static bool probe_hash_on_demand(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, map_options, .map_flags = BPF_F_NO_PREALLOC);
	int map = bpf_map_create(BPF_MAP_TYPE_HASH, "probe", 4, 4, 1, &map_options);
	if (map < 0)
		return false;
	struct bpf_insn instructions[] = {
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
		{.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{.code = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_PERF_EVENT, "probe", "GPL", instructions,
				    ARRAY_LENGTH(instructions), NULL);
	if (program >= 0)
		close(program);
	close(map);
	return program >= 0;
}

void programs_size_maps(const struct programs *programs, const struct programs_options *options)
{
	struct bolometer_bpf *s = programs->skeleton;
	uint32_t cpus = (uint32_t)programs->cpu_count;
	bpf_map__set_max_entries(s->maps.scratches, programs->walk_count);
	bpf_map__set_max_entries(s->maps.ticks, TICK_CPUS + cpus);
	bpf_map__set_max_entries(s->maps.counters, programs->walk_count);
	bpf_map__set_max_entries(s->maps.growth_rates, options->growth ? cpus : 1);
	bpf_map__set_max_entries(s->maps.growth_paces, options->growth ? cpus : 1);
	bpf_map__set_max_entries(s->maps.heap_sites, options->heap ? HEAP_SITES : 1);
	bpf_map__set_max_entries(s->maps.heap_window_sites, options->heap ? HEAP_WINDOW_SITES : 1);
	uint32_t blocks = options->heap_blocks ? options->heap_blocks : HEAP_BLOCKS;
	bpf_map__set_max_entries(s->maps.heap_live, options->heap ? blocks : 1);
	bpf_map__set_max_entries(s->maps.heap_processes, programs->heap_processes);
	bpf_map__set_max_entries(s->maps.heap_pending, options->heap ? HEAP_CALLS : 1);
	bpf_map__set_max_entries(s->maps.binaries, options->binaries);
	bpf_map__set_max_entries(s->maps.ring, options->ring_bytes);
	bpf_map__set_max_entries(s->maps.selected_pids,
				 options->select_by_pid ? SELECTED_PIDS : 1);
	bpf_map__set_max_entries(s->maps.context_places, options->contexts ? CONTEXTS_MAX_PROCESSES : 1);
	uint32_t verdicts = options->select_by_name ? VERDICTS : 1;
	bpf_map__set_max_entries(s->maps.left_out_processes, options->leave_out ? LEFT_OUT_SETS : 1);
	bpf_map__set_max_entries(s->maps.left_out_counts, options->leave_out ? cpus : 1);
	bpf_map__set_max_entries(s->maps.executable_verdicts, verdicts);
	bpf_map__set_max_entries(s->maps.comm_verdicts, verdicts);
	if (probe_hash_on_demand()) {
		bpf_map__set_map_flags(s->maps.binaries, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.selected_pids, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.context_places, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.heap_sites, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.heap_window_sites, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.heap_live, BPF_F_NO_PREALLOC);
	}
}
