/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libbpf's header when bpf/ is compiled for the host: CO-RE against kernel objects that a
 * test made. What the loader would relocate is fixed here: a flavour of a kernel structure lies behind
 * the structure itself, at the offset below, so that all flavours can be filled beside each other.
 */
#pragma once

#include <bpf/bpf_helpers.h>

struct mm_struct___with_maple_tree;
struct mm_struct___with_rb_tree;
struct mm_struct___with_context;
struct mm_struct___with_lock_seqcount;
struct mm_struct___with_lock_sequence;
struct vm_area_struct___in_rb_tree;
struct vm_area_struct___with_references;
struct inode___with_integers;

#define FLAVOUR_OFFSET(pointer)                                     \
	_Generic((pointer),                                         \
		struct mm_struct___with_maple_tree *: 64,           \
		struct mm_struct___with_rb_tree *: 128,             \
		struct mm_struct___with_context *: 192,             \
		struct mm_struct___with_lock_seqcount *: 256,       \
		struct mm_struct___with_lock_sequence *: 256,       \
		struct vm_area_struct___in_rb_tree *: 64,           \
		struct vm_area_struct___with_references *: 96,      \
		struct inode___with_integers *: 64,                 \
		default: 0)

#define bpf_core_field_offset(type, field)                          \
	(FLAVOUR_OFFSET((type *)0) + __builtin_offsetof(type, field))
#define bpf_core_type_exists(type) 1
#define bpf_core_type_size(type) sizeof(type)
/* Recorded objects are read by helpers only: their addresses are not the host's. */
#define bpf_core_enum_value_exists(type, value) \
	((value) != BPF_FUNC_get_current_task_btf___any)

/* Which of the kernel's layouts there is, by the name of the field asked for. */
int replay_field_exists(const char *field);
#define bpf_core_field_exists(field) ((void)sizeof(field), replay_field_exists(#field))

/* In integers: these are addresses in another memory, and may be any. */
#define FIELD_ADDRESS(source, field)                                                        \
	((const void *)((unsigned long)(source) + FLAVOUR_OFFSET(source) +                  \
			__builtin_offsetof(__typeof__(*(source)), field)))

#define CORE_READ_ONE(source, field)                                                        \
	({                                                                                  \
		__typeof__((source)->field) value_;                                         \
		bpf_probe_read_kernel(&value_, sizeof(value_), FIELD_ADDRESS(source, field)); \
		value_;                                                                     \
	})
#define CORE_READ_TWO(source, first, field)                                                 \
	({                                                                                  \
		__typeof__((source)->first) next_ = CORE_READ_ONE(source, first);           \
		CORE_READ_ONE(next_, field);                                                \
	})
#define CORE_READ_CHOICE(source, first, second, choice, ...) choice
#define BPF_CORE_READ(source, ...)                                                          \
	CORE_READ_CHOICE(source, __VA_ARGS__, CORE_READ_TWO, CORE_READ_ONE, )(source, __VA_ARGS__)
