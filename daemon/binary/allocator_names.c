/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names, from the public headers of each allocator: malloc.h, jemalloc.h, gperftools/tcmalloc.h,
 * mimalloc.h, tcmalloc's internal_malloc_extension.h and libc_override; C++ names by the Itanium C++ ABI.
 *
 * Functions that resize in place or not at all (xallocx, mi_expand) are left out: the block keeps the size
 * it was given.
 */
#include "binary/allocator_names.h"

#include <string.h>

#define PLAIN (1 << SPELLED_PLAIN)
#define LIBC (1 << SPELLED_LIBC)
#define JE (1 << SPELLED_JEMALLOC)
#define TC (1 << SPELLED_GPERFTOOLS)
#define MI (1 << SPELLED_MIMALLOC)
#define GOOGLE (1 << SPELLED_TCMALLOC)
#define NO NO_ARGUMENT

static const struct {
	const char *text;
	enum allocator_spelling spelling;
} prefixes[] = {
	{"__libc_", SPELLED_LIBC},	{"je_", SPELLED_JEMALLOC}, {"_rjem_", SPELLED_JEMALLOC},
	{"tc_", SPELLED_GPERFTOOLS},	{"mi_", SPELLED_MIMALLOC},
	{"TCMallocInternal", SPELLED_TCMALLOC},
};

static const struct allocator_name names[] = {
	{"malloc", PLAIN | LIBC | JE | TC | MI, ALLOCATOR_MALLOC, false, 0, NO, NO},
	{"calloc", PLAIN | LIBC | JE | TC | MI, ALLOCATOR_CALLOC, false, 1, 0, NO},
	{"realloc", PLAIN | LIBC | JE | TC | MI, ALLOCATOR_REALLOC, false, 1, NO, 0},
	{"free", PLAIN | LIBC | JE | TC | MI, ALLOCATOR_FREE, false, NO, NO, 0},
	{"posix_memalign", PLAIN | JE | TC | MI, ALLOCATOR_POSIX_MEMALIGN, true, 2, NO, 0},
	{"aligned_alloc", PLAIN | JE | MI, ALLOCATOR_ALIGNED, true, 1, NO, NO},
	{"memalign", PLAIN | LIBC | JE | TC | MI, ALLOCATOR_ALIGNED, true, 1, NO, NO},
	{"valloc", PLAIN | LIBC | JE | TC | MI, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"pvalloc", PLAIN | LIBC | JE | TC | MI, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"reallocarray", PLAIN | LIBC | MI, ALLOCATOR_REALLOC, true, 2, 1, 0},
	{"cfree", PLAIN | LIBC | TC | MI, ALLOCATOR_FREE, true, NO, NO, 0},
	{"free_sized", PLAIN | JE | TC, ALLOCATOR_FREE, true, NO, NO, 0},
	{"free_aligned_sized", PLAIN | JE, ALLOCATOR_FREE, true, NO, NO, 0},

	/* jemalloc's own */
	{"mallocx", PLAIN | JE, ALLOCATOR_ALIGNED, false, 0, NO, NO},
	{"rallocx", PLAIN | JE, ALLOCATOR_REALLOC, false, 1, NO, 0},
	{"dallocx", PLAIN | JE, ALLOCATOR_FREE, false, NO, NO, 0},
	{"sdallocx", PLAIN | JE, ALLOCATOR_FREE, false, NO, NO, 0},

	/* mimalloc's own */
	{"zalloc", MI, ALLOCATOR_MALLOC, false, 0, NO, NO},
	{"malloc_small", MI, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"zalloc_small", MI, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"mallocn", MI, ALLOCATOR_CALLOC, true, 1, 0, NO},
	{"reallocn", MI, ALLOCATOR_REALLOC, true, 2, 1, 0},
	{"reallocf", MI | PLAIN, ALLOCATOR_REALLOC, true, 1, NO, 0},
	{"rezalloc", MI, ALLOCATOR_REALLOC, true, 1, NO, 0},
	{"recalloc", MI, ALLOCATOR_REALLOC, true, 2, 1, 0},
	{"malloc_aligned", MI, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"malloc_aligned_at", MI, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"zalloc_aligned", MI, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"zalloc_aligned_at", MI, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"calloc_aligned", MI, ALLOCATOR_CALLOC, true, 1, 0, NO},
	{"realloc_aligned", MI, ALLOCATOR_REALLOC, true, 1, NO, 0},
	{"rezalloc_aligned", MI, ALLOCATOR_REALLOC, true, 1, NO, 0},
	{"calloc_aligned_at", MI, ALLOCATOR_CALLOC, true, 1, 0, NO},
	{"realloc_aligned_at", MI, ALLOCATOR_REALLOC, true, 1, NO, 0},
	{"rezalloc_aligned_at", MI, ALLOCATOR_REALLOC, true, 1, NO, 0},
	{"recalloc_aligned", MI, ALLOCATOR_REALLOC, true, 2, 1, 0},
	{"recalloc_aligned_at", MI, ALLOCATOR_REALLOC, true, 2, 1, 0},
	{"new", MI | TC, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"new_nothrow", MI | TC, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"new_n", MI, ALLOCATOR_CALLOC, true, 1, 0, NO},
	{"new_aligned", MI | TC, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"new_aligned_nothrow", MI | TC, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"new_realloc", MI, ALLOCATOR_REALLOC, true, 1, NO, 0},
	{"new_reallocn", MI, ALLOCATOR_REALLOC, true, 2, 1, 0},
	{"free_size", MI, ALLOCATOR_FREE, true, NO, NO, 0},
	{"free_aligned", MI, ALLOCATOR_FREE, true, NO, NO, 0},
	{"free_size_aligned", MI, ALLOCATOR_FREE, true, NO, NO, 0},
	{"heap_malloc", MI, ALLOCATOR_MALLOC, true, 1, NO, NO},
	{"heap_zalloc", MI, ALLOCATOR_MALLOC, true, 1, NO, NO},
	{"heap_malloc_small", MI, ALLOCATOR_MALLOC, true, 1, NO, NO},
	{"heap_calloc", MI, ALLOCATOR_CALLOC, true, 2, 1, NO},
	{"heap_mallocn", MI, ALLOCATOR_CALLOC, true, 2, 1, NO},
	{"heap_realloc", MI, ALLOCATOR_REALLOC, true, 2, NO, 1},
	{"heap_reallocf", MI, ALLOCATOR_REALLOC, true, 2, NO, 1},
	{"heap_reallocn", MI, ALLOCATOR_REALLOC, true, 3, 2, 1},
	{"heap_rezalloc", MI, ALLOCATOR_REALLOC, true, 2, NO, 1},
	{"heap_malloc_aligned", MI, ALLOCATOR_ALIGNED, true, 1, NO, NO},
	{"heap_malloc_aligned_at", MI, ALLOCATOR_ALIGNED, true, 1, NO, NO},
	{"heap_zalloc_aligned", MI, ALLOCATOR_ALIGNED, true, 1, NO, NO},
	{"heap_zalloc_aligned_at", MI, ALLOCATOR_ALIGNED, true, 1, NO, NO},
	{"heap_calloc_aligned", MI, ALLOCATOR_CALLOC, true, 2, 1, NO},
	{"heap_realloc_aligned", MI, ALLOCATOR_REALLOC, true, 2, NO, 1},
	{"heap_calloc_aligned_at", MI, ALLOCATOR_CALLOC, true, 2, 1, NO},
	{"heap_realloc_aligned_at", MI, ALLOCATOR_REALLOC, true, 2, NO, 1},
	{"heap_rezalloc_aligned", MI, ALLOCATOR_REALLOC, true, 2, NO, 1},
	{"heap_rezalloc_aligned_at", MI, ALLOCATOR_REALLOC, true, 2, NO, 1},
	{"heap_recalloc", MI, ALLOCATOR_REALLOC, true, 3, 2, 1},
	{"heap_recalloc_aligned", MI, ALLOCATOR_REALLOC, true, 3, 2, 1},
	{"heap_recalloc_aligned_at", MI, ALLOCATOR_REALLOC, true, 3, 2, 1},
	{"heap_alloc_new", MI, ALLOCATOR_MALLOC, true, 1, NO, NO},
	{"heap_alloc_new_n", MI, ALLOCATOR_CALLOC, true, 2, 1, NO},

	/* gperftools' own; the operators below are other names of these */
	{"newarray", TC, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"newarray_nothrow", TC, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"newarray_aligned", TC, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"newarray_aligned_nothrow", TC, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"delete", TC, ALLOCATOR_FREE, true, NO, NO, 0},
	{"delete_sized", TC, ALLOCATOR_FREE, true, NO, NO, 0},
	{"delete_nothrow", TC, ALLOCATOR_FREE, true, NO, NO, 0},
	{"delete_aligned", TC, ALLOCATOR_FREE, true, NO, NO, 0},
	{"delete_sized_aligned", TC, ALLOCATOR_FREE, true, NO, NO, 0},
	{"deletearray", TC, ALLOCATOR_FREE, true, NO, NO, 0},
	{"deletearray_sized", TC, ALLOCATOR_FREE, true, NO, NO, 0},

	/* Google's tcmalloc */
	{"Malloc", GOOGLE, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"Calloc", GOOGLE, ALLOCATOR_CALLOC, true, 1, 0, NO},
	{"Realloc", GOOGLE, ALLOCATOR_REALLOC, true, 1, NO, 0},
	{"ReallocArray", GOOGLE, ALLOCATOR_REALLOC, true, 2, 1, 0},
	{"PosixMemalign", GOOGLE, ALLOCATOR_POSIX_MEMALIGN, true, 2, NO, 0},
	{"AlignedAlloc", GOOGLE, ALLOCATOR_ALIGNED, true, 1, NO, NO},
	{"Memalign", GOOGLE, ALLOCATOR_ALIGNED, true, 1, NO, NO},
	{"Valloc", GOOGLE, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"Pvalloc", GOOGLE, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"New", GOOGLE, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"NewArray", GOOGLE, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"NewNothrow", GOOGLE, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"NewArrayNothrow", GOOGLE, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"NewAligned", GOOGLE, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"NewArrayAligned", GOOGLE, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"Free", GOOGLE, ALLOCATOR_FREE, true, NO, NO, 0},
	{"Cfree", GOOGLE, ALLOCATOR_FREE, true, NO, NO, 0},
	{"Sdallocx", GOOGLE, ALLOCATOR_FREE, true, NO, NO, 0},
	{"Delete", GOOGLE, ALLOCATOR_FREE, true, NO, NO, 0},
	{"DeleteArray", GOOGLE, ALLOCATOR_FREE, true, NO, NO, 0},
	{"DeleteSized", GOOGLE, ALLOCATOR_FREE, true, NO, NO, 0},
	{"DeleteArraySized", GOOGLE, ALLOCATOR_FREE, true, NO, NO, 0},
	{"DeleteAligned", GOOGLE, ALLOCATOR_FREE, true, NO, NO, 0},
	{"DeleteSizedAligned", GOOGLE, ALLOCATOR_FREE, true, NO, NO, 0},

	/* operator new and new[]: (size), with nothrow, with align_val_t, with both */
	{"_Znwm", PLAIN, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"_Znam", PLAIN, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"_ZnwmRKSt9nothrow_t", PLAIN, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"_ZnamRKSt9nothrow_t", PLAIN, ALLOCATOR_MALLOC, true, 0, NO, NO},
	{"_ZnwmSt11align_val_t", PLAIN, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"_ZnamSt11align_val_t", PLAIN, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"_ZnwmSt11align_val_tRKSt9nothrow_t", PLAIN, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	{"_ZnamSt11align_val_tRKSt9nothrow_t", PLAIN, ALLOCATOR_ALIGNED, true, 0, NO, NO},
	/* operator delete and delete[]: the same, and with the size */
	{"_ZdlPv", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdaPv", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdlPvm", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdaPvm", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdlPvRKSt9nothrow_t", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdaPvRKSt9nothrow_t", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdlPvSt11align_val_t", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdaPvSt11align_val_t", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdlPvmSt11align_val_t", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdaPvmSt11align_val_t", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdlPvSt11align_val_tRKSt9nothrow_t", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
	{"_ZdaPvSt11align_val_tRKSt9nothrow_t", PLAIN, ALLOCATOR_FREE, true, NO, NO, 0},
};

static const struct allocator_name *find_base(const char *base, size_t length,
					      enum allocator_spelling spelling)
{
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if ((names[i].spellings & 1 << spelling) && names[i].base[0] == base[0] &&
		    strlen(names[i].base) == length && !memcmp(names[i].base, base, length))
			return &names[i];
	return NULL;
}

const struct allocator_name *allocator_name_find(const char *name, size_t length,
						 enum allocator_spelling *ret)
{
	for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++) {
		size_t skip = strlen(prefixes[i].text);
		if (length <= skip || memcmp(name, prefixes[i].text, skip))
			continue;
		*ret = prefixes[i].spelling;
		return find_base(name + skip, length - skip, *ret);
	}
	*ret = SPELLED_PLAIN;
	return length ? find_base(name, length, SPELLED_PLAIN) : NULL;
}
