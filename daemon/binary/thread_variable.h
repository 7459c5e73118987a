/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an ELF file reaches a thread-local variable that it exports, from its dynamic symbols and relocations: what
 * the linker left open stands at run time in a slot of the global offset table. Runs in the parser child.
 */
#pragma once

#include "binary/elf_file.h"
#include "binary/facts.h"

/* The pointer to a thread's context, by OpenTelemetry's OTEP 4947. */
#define THREAD_CONTEXT_SYMBOL "otel_thread_ctx_v1"

/* Fills *ret; `access` is THREAD_VARIABLE_NONE where the file has no such variable, or none that it reaches in a
 * way that is known here. */
void thread_variable_find(const struct elf_file *elf, const char *name, struct thread_variable *ret);
