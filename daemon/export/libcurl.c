/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of libcurl, under their own names, for everything that is compiled against <curl/curl.h>: the
 * library is loaded when the first one is called. It brings thirty others (TLS, Kerberos, LDAP, …), which take a
 * process 7 ms of CPU and 2 MB to load and relocate; the parser child, the opener and a recording use none of them.
 *
 * Where it cannot be loaded, which is logged once, everything that makes an object fails, and nothing else is
 * called without one. Each variadic function takes one argument that is a pointer or 64 bits wide, which libcurl
 * itself reads by its option.
 */
#include "base/attributes.h"
#include "base/library.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdarg.h>

#define LIBRARY "libcurl.so.4"

/* Of curl_url_get(): newer headers have it const. */
typedef __typeof__(__builtin_choose_expr(
	__builtin_types_compatible_p(__typeof__(curl_url_get),
				     CURLUcode(CURLU *, CURLUPart, char **, unsigned int)),
	(CURLU *)0, (const CURLU *)0)) url_to_read;

/* name, type of its value, its parameters */
#define FUNCTIONS(X)                                                                                   \
	X(easy_cleanup, void, (CURL *))                                                                \
	X(easy_getinfo, CURLcode, (CURL *, CURLINFO, ...))                                             \
	X(easy_header, CURLHcode,                                                                      \
	  (CURL *, const char *, size_t, unsigned int, int, struct curl_header **))                    \
	X(easy_init, CURL *, (void))                                                                   \
	X(easy_perform, CURLcode, (CURL *))                                                            \
	X(easy_setopt, CURLcode, (CURL *, CURLoption, ...))                                            \
	X(easy_strerror, const char *, (CURLcode))                                                     \
	X(free, void, (void *))                                                                        \
	X(getdate, time_t, (const char *, const time_t *))                                             \
	X(global_init, CURLcode, (long))                                                               \
	X(multi_add_handle, CURLMcode, (CURLM *, CURL *))                                              \
	X(multi_cleanup, CURLMcode, (CURLM *))                                                         \
	X(multi_info_read, CURLMsg *, (CURLM *, int *))                                                \
	X(multi_init, CURLM *, (void))                                                                 \
	X(multi_perform, CURLMcode, (CURLM *, int *))                                                  \
	X(multi_poll, CURLMcode, (CURLM *, struct curl_waitfd *, unsigned int, int, int *))            \
	X(multi_remove_handle, CURLMcode, (CURLM *, CURL *))                                           \
	X(multi_wakeup, CURLMcode, (CURLM *))                                                          \
	X(slist_append, struct curl_slist *, (struct curl_slist *, const char *))                      \
	X(slist_free_all, void, (struct curl_slist *))                                                 \
	X(url, CURLU *, (void))                                                                        \
	X(url_cleanup, void, (CURLU *))                                                                \
	X(url_get, CURLUcode, (url_to_read, CURLUPart, char **, unsigned int))                         \
	X(url_set, CURLUcode, (CURLU *, CURLUPart, const char *, unsigned int))                        \
	X(url_strerror, const char *, (CURLUcode))

static const char *const names[] = {
#define NAME(name, type, parameters) "curl_" #name,
	FUNCTIONS(NAME)
#undef NAME
};

static union {
	struct {
#define MEMBER(name, type, parameters) type(*name) parameters;
		FUNCTIONS(MEMBER)
#undef MEMBER
	};
	void *addresses[ARRAY_LENGTH(names)];
} library;
static bool is_loaded;

static void load(void)
{
	is_loaded = library_load(LIBRARY, names, ARRAY_LENGTH(names), library.addresses,
				 "nothing can be sent and no daemon asked", "install libcurl 7.87 or later");
}

static bool loaded(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, load);
	return is_loaded;
}

/* The parentheses keep the header's macros away. */

CURLcode (curl_global_init)(long flags)
{
	return loaded() ? library.global_init(flags) : CURLE_FAILED_INIT;
}

CURL *(curl_easy_init)(void)
{
	return loaded() ? library.easy_init() : NULL;
}

void (curl_easy_cleanup)(CURL *easy)
{
	if (easy)
		library.easy_cleanup(easy);
}

CURLcode (curl_easy_setopt)(CURL *easy, CURLoption option, ...)
{
	va_list arguments;
	va_start(arguments, option);
	void *value = va_arg(arguments, void *);
	va_end(arguments);
	return library.easy_setopt(easy, option, value);
}

CURLcode (curl_easy_getinfo)(CURL *easy, CURLINFO info, ...)
{
	va_list arguments;
	va_start(arguments, info);
	void *value = va_arg(arguments, void *);
	va_end(arguments);
	return library.easy_getinfo(easy, info, value);
}

CURLcode (curl_easy_perform)(CURL *easy)
{
	return library.easy_perform(easy);
}

CURLHcode (curl_easy_header)(CURL *easy, const char *name, size_t index, unsigned int origin, int request,
			     struct curl_header **ret)
{
	return library.easy_header(easy, name, index, origin, request, ret);
}

const char *(curl_easy_strerror)(CURLcode code)
{
	return loaded() ? library.easy_strerror(code) : "libcurl cannot be loaded";
}

void (curl_free)(void *memory)
{
	if (memory)
		library.free(memory);
}

time_t (curl_getdate)(const char *text, const time_t *unused)
{
	return loaded() ? library.getdate(text, unused) : -1;
}

CURLM *(curl_multi_init)(void)
{
	return loaded() ? library.multi_init() : NULL;
}

CURLMcode (curl_multi_cleanup)(CURLM *multi)
{
	return multi ? library.multi_cleanup(multi) : CURLM_BAD_HANDLE;
}

CURLMcode (curl_multi_add_handle)(CURLM *multi, CURL *easy)
{
	return library.multi_add_handle(multi, easy);
}

CURLMcode (curl_multi_remove_handle)(CURLM *multi, CURL *easy)
{
	return library.multi_remove_handle(multi, easy);
}

CURLMcode (curl_multi_perform)(CURLM *multi, int *ret_running)
{
	return library.multi_perform(multi, ret_running);
}

CURLMcode (curl_multi_poll)(CURLM *multi, struct curl_waitfd *more, unsigned int count, int timeout_ms, int *ret)
{
	return library.multi_poll(multi, more, count, timeout_ms, ret);
}

CURLMcode (curl_multi_wakeup)(CURLM *multi)
{
	return multi ? library.multi_wakeup(multi) : CURLM_BAD_HANDLE;
}

CURLMsg *(curl_multi_info_read)(CURLM *multi, int *ret_left)
{
	return library.multi_info_read(multi, ret_left);
}

struct curl_slist *(curl_slist_append)(struct curl_slist *list, const char *text)
{
	return loaded() ? library.slist_append(list, text) : NULL;
}

void (curl_slist_free_all)(struct curl_slist *list)
{
	if (list)
		library.slist_free_all(list);
}

CURLU *(curl_url)(void)
{
	return loaded() ? library.url() : NULL;
}

void (curl_url_cleanup)(CURLU *url)
{
	if (url)
		library.url_cleanup(url);
}

CURLUcode (curl_url_get)(url_to_read url, CURLUPart part, char **ret, unsigned int flags)
{
	return library.url_get(url, part, ret, flags);
}

CURLUcode (curl_url_set)(CURLU *url, CURLUPart part, const char *text, unsigned int flags)
{
	return library.url_set(url, part, text, flags);
}

const char *(curl_url_strerror)(CURLUcode code)
{
	return loaded() ? library.url_strerror(code) : "libcurl cannot be loaded";
}
