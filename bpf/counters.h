/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every counter the BPF side keeps and every reason a stack can end for, from one list each, so that
 * the kernel's enum and the names people read cannot drift apart.
 */
#pragma once

/*
 * COUNTER(id, name, what it counts). The tick identity, exact at any moment the programs rest:
 *	ticks = samples + lost_* + unselected + not_taken + idle + missed
 * of whose samples userspace makes those unselected or not taken that it finds to be.
 * and of the page faults, in steps of the event's period:
 *	growth_faults = growth_new + growth_copied + growth_file + growth_unselected + growth_thinned
 */
#define BOLOMETER_COUNTERS(COUNTER)                                                               \
	COUNTER(TICKS, "ticks", "timer periods that passed, run or missed")                       \
	COUNTER(SAMPLES, "samples", "ticks sent to userspace as a sample")                        \
	COUNTER(IDLE, "idle", "ticks while the CPU was idle")                                     \
	COUNTER(UNSELECTED, "unselected", "ticks in tasks or modes that were not asked for")      \
	COUNTER(MISSED, "missed", "ticks in which no program ran")                                \
	COUNTER(LOST_RING_FULL, "lost_ring_full", "samples the full ring buffer refused")         \
	COUNTER(LOST_SCRATCH, "lost_scratch", "samples without scratch memory")                   \
	COUNTER(CAPTURED_NS, "captured_ns", "CPU time of the samples sent, ns")                   \
	COUNTER(IDLE_NS, "idle_ns", "time of the idle ticks, ns")                                 \
	COUNTER(UNSELECTED_NS, "unselected_ns", "time of the unselected ticks, ns")               \
	COUNTER(MISSED_NS, "missed_ns", "time of the missed ticks, ns")                           \
	COUNTER(LOST_NS, "lost_ns", "time of the lost samples, ns")                               \
	COUNTER(CONTEXTS, "contexts", "samples with the trace context of their thread")           \
	COUNTER(CONTEXTS_UNREADABLE, "contexts_unreadable", "samples of threads whose trace context could not be read") \
	COUNTER(STACKS_SENT, "stacks_sent", "samples that carried their whole stack")             \
	COUNTER(FRAMES, "frames", "user frames unwound")                                          \
	COUNTER(BINARIES_FULL, "binaries_full", "frames in a binary the full table refused")      \
	COUNTER(NOTICES_LOST, "notices_lost", "notices of a new binary the full ring refused")    \
	COUNTER(NOT_TAKEN, "not_taken", "ticks that a sampling strategy leaves out")               \
	COUNTER(NOT_TAKEN_NS, "not_taken_ns", "time of the ticks not taken, ns")                  \
	COUNTER(GROWTH_FAULTS, "growth_faults", "minor page faults the event counted")            \
	COUNTER(GROWTH_NEW, "growth_new", "of them, new memory")                                  \
	COUNTER(GROWTH_COPIED, "growth_copied", "of them, pages written after a fork")            \
	COUNTER(GROWTH_FILE, "growth_file", "of them, in files or shared memory")                 \
	COUNTER(GROWTH_UNSELECTED, "growth_unselected", "of them, in tasks not asked for")        \
	COUNTER(GROWTH_THINNED, "growth_thinned", "of them, passed over: the samples weigh more") \
	COUNTER(GROWTH_SAMPLES, "growth_samples", "growth samples sent")                          \
	COUNTER(GROWTH_BYTES, "growth_bytes", "bytes those samples stand for")                    \
	COUNTER(GROWTH_LOST, "growth_lost", "growth samples the full ring buffer refused")        \
	COUNTER(GROWTH_LOST_BYTES, "growth_lost_bytes", "bytes those stood for")                   \
	COUNTER(OOM_VICTIMS, "oom_victims", "processes the kernel killed for lack of memory")   \
	COUNTER(HEAP_ALLOCATIONS, "heap_allocations", "allocations of probed functions")        \
	COUNTER(HEAP_BYTES, "heap_bytes", "bytes those asked for")                              \
	COUNTER(HEAP_FREES, "heap_frees", "blocks freed")                                       \
	COUNTER(HEAP_UNKNOWN_FREES, "heap_unknown_frees", "of them, from before the probes or not sampled") \
	COUNTER(HEAP_MISSED_FREES, "heap_missed_frees", "blocks whose address was given out again") \
	COUNTER(HEAP_TOO_LARGE, "heap_too_large", "requests of more than the host's memory, not looked at") \
	COUNTER(HEAP_LOST, "heap_lost", "allocations without a place: no memory for the call or the walk") \
	COUNTER(HEAP_LOST_RETURNS, "heap_lost_returns", "calls of allocators whose return was not seen") \
	COUNTER(HEAP_SITES_FULL, "heap_sites_full", "allocations at places the full table refused") \
	COUNTER(HEAP_LIVE_FULL, "heap_live_full", "blocks the full table refused: not in use")  \
	COUNTER(HEAP_SAMPLES, "heap_samples", "allocations of which the place was taken")       \
	COUNTER(HEAP_THINNED, "heap_thinned", "sampled blocks passed over as the interval was raised") \
	COUNTER(HEAP_STACKS, "heap_stacks", "places that allocate, sent")                       \
	COUNTER(HEAP_STACKS_LOST, "heap_stacks_lost", "times a full ring refused one: sent with the next call")

/*
 * STACK_END(id, text). Why the walk ended. COMPLETE reached the entry of the thread. EXITING and IN_EXEC
 * are whole too: the task has given its user memory back, or has no code in it yet. Every other one
 * becomes a last frame "[text]" in the profile.
 */
#define BOLOMETER_STACK_ENDS(STACK_END)                                                           \
	STACK_END(COMPLETE, "complete")                                                           \
	STACK_END(EXITING, "exiting")                                                             \
	STACK_END(IN_EXEC, "starting a program")                                                  \
	STACK_END(TABLES_NOT_READY, "tables not ready")                                           \
	STACK_END(NO_UNWIND_INFO, "no unwind information")                                        \
	STACK_END(NO_MAPPING, "address in no executable mapping")                                 \
	STACK_END(STACK_UNREADABLE, "stack not readable")                                         \
	STACK_END(BAD_FRAME_POINTER, "broken frame pointer chain")                                \
	STACK_END(NO_PROGRESS, "stack pointer does not move")                                     \
	STACK_END(REGISTER_LOST, "register not recoverable")                                      \
	STACK_END(DEPTH_LIMIT, "deeper than max-frames")                                          \
	STACK_END(BINARY_LIMIT, "too many binaries")                                              \
	STACK_END(BAD_TABLE, "unwind table damaged")                                              \
	STACK_END(COMPAT_TASK, "32-bit program")                                                  \
	STACK_END(NO_USER_REGISTERS, "user registers not available")                               \
	STACK_END(NOT_READ, "not read in safe mode")
