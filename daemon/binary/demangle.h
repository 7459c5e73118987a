/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linkage names made readable: C++ (Itanium ABI) and Rust (legacy and v0). Names of other languages
 * (C, Go, D, Swift, …) stay as they are.
 *
 * The form is the one people know from pprof and perf: template arguments stay, because they tell
 * instantiations apart; parameters and return types go, because they make graphs unreadable; Rust's
 * hash goes. A compiler's clone suffix (.cold, .isra.0, .llvm.123) of a mangled name goes too: the
 * parts of one function are one node.
 */
#pragma once

#include "base/text.h"

#define DEMANGLE_MAX_INPUT 4096 /* longer names stay mangled */
#define DEMANGLE_MAX_OUTPUT 8192 /* a name that would grow longer stays mangled */

/* Appends the name for people, always valid UTF-8 without control characters. Returns 1 when it was
 * demangled, 0 when it stays as it is, -ENOMEM. */
int demangle(const char *mangled, struct text *out);
