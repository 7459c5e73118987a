/* SPDX-License-Identifier: Apache-2.0 */
/* What heap_probes.c asks of heap_probes_places.c. */
#pragma once

#include "collect/heap_probes.h"

/* The process, or NULL: it is not probed. One that has ended and left its number to this one is let go. */
struct probed_process *heap_probes_find(struct heap_probes *heap, const struct process *process);

/* Adds it, if it is selected, old enough, not left out, and there is room. Otherwise, or without memory, NULL. */
struct probed_process *heap_probes_judge(struct heap_probes *heap, struct process *process);

/* Judges all processes that live anew: those that have ended or are not selected any more go, others may come. */
void heap_probes_judge_all(struct heap_probes *heap);

/* Remembers a process whose main thread has ended, to be told of later. */
void heap_probes_note_leaderless(struct heap_probes *heap, uint32_t pid);
