/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of bpf/ define maps and settings: whatever includes them is one unit. */
#include "unwinder.c"

#include "kernel_objects.c"
