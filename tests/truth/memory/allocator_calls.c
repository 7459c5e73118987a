/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls every function that the allocator it runs with has, with arguments that keep changing. It begins
 * and ends when told to by a line on its standard input, and says in between that it is done.
 *
 * Built without anything of Bolometer, with several C libraries, shared and static.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef LINKED_STATICALLY
#define FUNCTION(type, name, ...)                                       \
	extern type name(__VA_ARGS__) __attribute__((weak));            \
	static type (*volatile call_##name)(__VA_ARGS__) = name;
#define FIND(name) ((void)0)
#else
#define FUNCTION(type, name, ...) static type (*volatile call_##name)(__VA_ARGS__);
#define FIND(name) (call_##name = dlsym(RTLD_DEFAULT, #name))
#endif

#ifdef LINKED_STATICALLY
static void *(*volatile call_malloc)(size_t) = malloc;
static void *(*volatile call_calloc)(size_t, size_t) = calloc;
static void *(*volatile call_realloc)(void *, size_t) = realloc;
static void (*volatile call_free)(void *) = free;
static int (*volatile call_posix_memalign)(void **, size_t, size_t) = posix_memalign;
static void *(*volatile call_aligned_alloc)(size_t, size_t) = aligned_alloc;
#else
FUNCTION(void *, malloc, size_t)
FUNCTION(void *, calloc, size_t, size_t)
FUNCTION(void *, realloc, void *, size_t)
FUNCTION(void, free, void *)
FUNCTION(int, posix_memalign, void **, size_t, size_t)
FUNCTION(void *, aligned_alloc, size_t, size_t)
#endif
#ifdef LINKED_STATICALLY
extern void *memalign(size_t, size_t) __attribute__((weak));
static void *(*volatile call_memalign)(size_t, size_t) = memalign;
#else
FUNCTION(void *, memalign, size_t, size_t)
#endif
FUNCTION(void *, valloc, size_t)
FUNCTION(void *, pvalloc, size_t)
FUNCTION(void *, mallocx, size_t, int)
FUNCTION(void *, rallocx, void *, size_t, int)
FUNCTION(void, dallocx, void *, int)
FUNCTION(void, sdallocx, void *, size_t, int)
FUNCTION(void *, _Znwm, size_t)
FUNCTION(void *, _Znam, size_t)
FUNCTION(void *, _ZnwmRKSt9nothrow_t, size_t, const void *)
FUNCTION(void *, _ZnwmSt11align_val_t, size_t, size_t)
FUNCTION(void, _ZdlPv, void *)
FUNCTION(void, _ZdlPvm, void *, size_t)
FUNCTION(void, _ZdlPvSt11align_val_t, void *, size_t)
FUNCTION(void *, mi_zalloc, size_t)
FUNCTION(void *, mi_malloc_small, size_t)
FUNCTION(void *, mi_zalloc_aligned, size_t, size_t)
FUNCTION(void *, mi_recalloc, void *, size_t, size_t)
FUNCTION(void *, mi_new_n, size_t, size_t)
FUNCTION(void, mi_free, void *)

static void find_functions(void)
{
#ifndef LINKED_STATICALLY
	FIND(malloc), FIND(calloc), FIND(realloc), FIND(free), FIND(posix_memalign);
	FIND(aligned_alloc), FIND(memalign);
#endif
	FIND(valloc), FIND(pvalloc), FIND(mallocx), FIND(rallocx), FIND(dallocx), FIND(sdallocx);
	FIND(_Znwm), FIND(_Znam), FIND(_ZnwmRKSt9nothrow_t), FIND(_ZnwmSt11align_val_t);
	FIND(_ZdlPv), FIND(_ZdlPvm), FIND(_ZdlPvSt11align_val_t);
	FIND(mi_zalloc), FIND(mi_malloc_small), FIND(mi_zalloc_aligned), FIND(mi_recalloc);
	FIND(mi_new_n), FIND(mi_free);
}

static void call_standard(size_t size)
{
	void *block = NULL;
	call_free(call_malloc(size));
	call_free(call_calloc(3, size / 3 + 1));
	block = call_realloc(NULL, size);
	block = call_realloc(block, 2 * size + 1);
	call_free(call_realloc(block, size / 2 + 1));
	if (call_posix_memalign(&block, 64, size) == 0)
		call_free(block);
	call_free(call_aligned_alloc(32, size));
	if (call_memalign)
		call_free(call_memalign(128, size));
	if (call_valloc)
		call_free(call_valloc(size));
	/* jemalloc has none: it would be the C library's, of another heap. */
	if (call_pvalloc && !call_mallocx)
		call_free(call_pvalloc(size));
	call_free(NULL);
}

static void call_jemalloc(size_t size)
{
	call_sdallocx(call_mallocx(size, 0), size, 0);
	call_dallocx(call_rallocx(call_mallocx(size, 0), 3 * size, 0), 0);
}

static void call_operators(size_t size)
{
	char nothrow;
	call__ZdlPv(call__Znwm(size));
	call__ZdlPv(call__Znam(size + 1));
	call__ZdlPv(call__ZnwmRKSt9nothrow_t(size + 2, &nothrow));
	if (call__ZdlPvm)
		call__ZdlPvm(call__Znwm(size + 3), size + 3);
	if (call__ZnwmSt11align_val_t && call__ZdlPvSt11align_val_t)
		call__ZdlPvSt11align_val_t(call__ZnwmSt11align_val_t(size + 4, 64), 64);
}

static void call_mimalloc(size_t size)
{
	call_mi_free(call_mi_zalloc(size));
	call_mi_free(call_mi_malloc_small(size % 1000));
	call_mi_free(call_mi_zalloc_aligned(size, 64));
	call_mi_free(call_mi_recalloc(NULL, 3, size));
	call_mi_free(call_mi_new_n(2, size));
}

int main(int argc, char **argv)
{
	char line;
	find_functions();
	if (read(STDIN_FILENO, &line, 1) != 1)
		return 1;
	for (size_t round = 0; round < 150; round++) {
		size_t size = 1 + round * round * 7 % 5000;
		call_standard(size);
		if (call_mallocx && call_rallocx && call_dallocx && call_sdallocx)
			call_jemalloc(size);
		if (call__Znwm && call__Znam && call__ZnwmRKSt9nothrow_t && call__ZdlPv)
			call_operators(size);
		if (call_mi_zalloc && call_mi_free)
			call_mimalloc(size);
	}
	if (write(STDOUT_FILENO, "\n", 1) != 1 || read(STDIN_FILENO, &line, 1) < 0)
		return 1;
	return 0;
}
