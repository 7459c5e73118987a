/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What some allocators have besides the standard's functions: C++'s operators, jemalloc's and mimalloc's own.
 * Found when the program runs, or, linked statically, by the linker; NULL where there is none.
 */
#pragma once

#include <dlfcn.h>
#include <stddef.h>

#ifdef LINKED_STATICALLY
#define FUNCTION(type, name, ...)                            \
	extern type name(__VA_ARGS__) __attribute__((weak)); \
	static type (*volatile call_##name)(__VA_ARGS__) = name;
#define FIND(name) ((void)0)
#else
#define FUNCTION(type, name, ...) static type (*volatile call_##name)(__VA_ARGS__);
#define FIND(name) (call_##name = (__typeof__(call_##name))dlsym(RTLD_DEFAULT, #name))
#endif

FUNCTION(void *, _Znwm, size_t)
FUNCTION(void *, _Znam, size_t)
FUNCTION(void *, _ZnwmRKSt9nothrow_t, size_t, const void *)
FUNCTION(void *, _ZnamRKSt9nothrow_t, size_t, const void *)
FUNCTION(void *, _ZnwmSt11align_val_t, size_t, size_t)
FUNCTION(void *, _ZnamSt11align_val_tRKSt9nothrow_t, size_t, size_t, const void *)
FUNCTION(void, _ZdlPv, void *)
FUNCTION(void, _ZdaPv, void *)
FUNCTION(void, _ZdlPvm, void *, size_t)
FUNCTION(void, _ZdaPvRKSt9nothrow_t, void *, const void *)
FUNCTION(void, _ZdlPvSt11align_val_t, void *, size_t)
FUNCTION(void, _ZdlPvmSt11align_val_t, void *, size_t, size_t)
FUNCTION(void *, reallocarray, void *, size_t, size_t)
FUNCTION(void *, memalign, size_t, size_t)
FUNCTION(void *, valloc, size_t)
FUNCTION(void *, mallocx, size_t, int)
FUNCTION(void *, rallocx, void *, size_t, int)
FUNCTION(void, dallocx, void *, int)
FUNCTION(void, sdallocx, void *, size_t, int)
FUNCTION(void *, mi_zalloc, size_t)
FUNCTION(void *, mi_malloc_aligned, size_t, size_t)
FUNCTION(void *, mi_recalloc, void *, size_t, size_t)
FUNCTION(void *, mi_new_n, size_t, size_t)
FUNCTION(void, mi_free, void *)

static void find_functions(void)
{
	FIND(_Znwm), FIND(_Znam), FIND(_ZnwmRKSt9nothrow_t), FIND(_ZnamRKSt9nothrow_t);
	FIND(_ZnwmSt11align_val_t), FIND(_ZnamSt11align_val_tRKSt9nothrow_t);
	FIND(_ZdlPv), FIND(_ZdaPv), FIND(_ZdlPvm), FIND(_ZdaPvRKSt9nothrow_t);
	FIND(_ZdlPvSt11align_val_t), FIND(_ZdlPvmSt11align_val_t);
	FIND(reallocarray), FIND(memalign), FIND(valloc);
	FIND(mallocx), FIND(rallocx), FIND(dallocx), FIND(sdallocx);
	FIND(mi_zalloc), FIND(mi_malloc_aligned), FIND(mi_recalloc), FIND(mi_new_n), FIND(mi_free);
}
