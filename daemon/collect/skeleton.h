/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF programs as the build embedded them, opened for loading with just the kernel's types that they name.
 */
#pragma once

struct bolometer_bpf;

/* The caller destroys what is returned; NULL: errno says why. *ret_types is left alone, or becomes a descriptor of the
 * types, which the caller closes once the programs are loaded. */
struct bolometer_bpf *skeleton_open(int *ret_types);
