/* SPDX-License-Identifier: Apache-2.0 */
/* Does a process go on? By /proc, where one that nobody has waited for stays listed after its end, and one whose main
 * thread has ended looks the same while its other threads go on. */
#pragma once

#include "base/attributes.h"

/* Has it ended, waited for or not? */
bool process_has_ended(uint32_t pid);

/* Of one whose main thread has ended: do others go on? `proc_path`: "/proc", or a test's copy. */
bool process_threads_go_on(const char *proc_path, uint32_t pid);

/* Has its main thread ended while others go on? */
bool process_is_leaderless(uint32_t pid);
