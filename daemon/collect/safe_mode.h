/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Safe mode: on a kernel that is known to hang by something a profiler does, that is left out, and all else
 * works. What hangs the host is decided from facts about the kernel; what harms one process is tried on a child.
 *
 * KERNEL_TICKS. The fault of kernel_bugs.h strikes when the interrupted code holds a lock that reading user
 * memory takes. Code in user mode holds none, so its ticks read the whole stack; a tick in kernel mode takes the
 * kernel's frames and the first frame of the user's, which is in the registers. With CONFIG_PREEMPT_RT the lock
 * sleeps, which no interrupt may: there is no safe mode, sampling is refused.
 *
 * RETURN_PROBES. A probe on the return of a function ends a program in a container (uprobe_trials.c has the
 * commits): no allocators are probed.
 */
#pragma once

#include "collect/kernel_bugs.h"

/* FEATURE(id, name, what its absence means) */
#define SAFE_MODE_FEATURES(FEATURE)                                                                    \
	FEATURE(KERNEL_TICKS, "kernel_ticks",                                                           \
		"of ticks in kernel mode, the user's stack ends after its first frame")                \
	FEATURE(RETURN_PROBES, "return_probes", "allocators are not probed, there is no heap profile")

#define SAFE_MODE_ENUM(id, name, what) SAFE_MODE_##id,
enum safe_mode_feature { SAFE_MODE_FEATURES(SAFE_MODE_ENUM) SAFE_MODE_FEATURE_COUNT };
#undef SAFE_MODE_ENUM
#define SAFE_MODE_BIT(feature) (1U << (feature))
#define SAFE_MODE_ALL (SAFE_MODE_BIT(SAFE_MODE_FEATURE_COUNT) - 1)

struct kernel_facts {
	char release[128];
	struct kernel_version version; /* 0.0.0: unknown */
	bool has_hardened_usercopy;    /* by the kernel's configuration; true when that is unknown */
	bool is_realtime;	       /* CONFIG_PREEMPT_RT */
};

/* `root` is prefixed to /proc and /boot; "" for the running kernel. */
void kernel_facts_read(const char *root, struct kernel_facts *ret);

/* What the facts want left out: bits of enum safe_mode_feature, 0: nothing. Or -ENOTSUP: sampling must not
 * begin. */
int safe_mode_decide(const struct kernel_facts *facts);

/* For a metric's label, and in words. */
const char *safe_mode_name(enum safe_mode_feature feature);
const char *safe_mode_meaning(enum safe_mode_feature feature);
