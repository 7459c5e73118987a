/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where libbpf's own messages go.
 */
#pragma once

/* From now on they are debug messages of ours, of each the last lines; below that level they are dropped. */
void libbpf_log_begin(void);
