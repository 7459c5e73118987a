/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of libmicrohttpd, under their own names, for what is compiled against <microhttpd.h>: the library
 * is loaded when the first server is started. It brings eight others (TLS and what that needs), which every start
 * of a recording, of the opener and of the parser child would load and relocate for nothing.
 *
 * Everything but MHD_start_daemon() needs a server or a response of one. Where the library cannot be loaded, which
 * is logged once, no server starts, with ELIBACC in errno.
 */
#include "base/attributes.h"
#include "base/library.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>

#define LIBRARY "libmicrohttpd.so.12"

/* name, type of its value, its parameters */
#define FUNCTIONS(X)                                                                                   \
	X(add_response_header, enum MHD_Result, (struct MHD_Response *, const char *, const char *))   \
	X(create_response_from_buffer, struct MHD_Response *,                                          \
	  (size_t, void *, enum MHD_ResponseMemoryMode))                                               \
	X(destroy_response, void, (struct MHD_Response *))                                             \
	X(get_connection_info, const union MHD_ConnectionInfo *,                                       \
	  (struct MHD_Connection *, enum MHD_ConnectionInfoType, ...))                                 \
	X(get_daemon_info, const union MHD_DaemonInfo *,                                               \
	  (struct MHD_Daemon *, enum MHD_DaemonInfoType, ...))                                         \
	X(get_response_headers, int, (struct MHD_Response *, MHD_KeyValueIterator, void *))            \
	X(get_timeout, enum MHD_Result, (struct MHD_Daemon *, MHD_UNSIGNED_LONG_LONG *))               \
	X(lookup_connection_value, const char *,                                                       \
	  (struct MHD_Connection *, enum MHD_ValueKind, const char *))                                 \
	X(lookup_connection_value_n, enum MHD_Result,                                                  \
	  (struct MHD_Connection *, enum MHD_ValueKind, const char *, size_t, const char **, size_t *)) \
	X(queue_response, enum MHD_Result,                                                             \
	  (struct MHD_Connection *, unsigned int, struct MHD_Response *))                              \
	X(resume_connection, void, (struct MHD_Connection *))                                          \
	X(run, enum MHD_Result, (struct MHD_Daemon *))                                                 \
	X(start_daemon_va, struct MHD_Daemon *,                                                        \
	  (unsigned int, uint16_t, MHD_AcceptPolicyCallback, void *, MHD_AccessHandlerCallback,        \
	   void *, va_list))                                                                           \
	X(stop_daemon, void, (struct MHD_Daemon *))                                                    \
	X(suspend_connection, void, (struct MHD_Connection *))

static const char *const names[] = {
#define NAME(name, type, parameters) "MHD_" #name,
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
				 "no local HTTP", "install libmicrohttpd 0.9.71 or later");
}

static bool loaded(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, load);
	return is_loaded;
}

struct MHD_Daemon *MHD_start_daemon(unsigned int flags, uint16_t port, MHD_AcceptPolicyCallback accept,
				    void *accept_userdata, MHD_AccessHandlerCallback handler,
				    void *handler_userdata, ...)
{
	if (!loaded()) {
		errno = ELIBACC;
		return NULL;
	}
	va_list options;
	va_start(options, handler_userdata);
	struct MHD_Daemon *daemon = library.start_daemon_va(flags, port, accept, accept_userdata,
							    handler, handler_userdata, options);
	va_end(options);
	return daemon;
}

void MHD_stop_daemon(struct MHD_Daemon *daemon)
{
	library.stop_daemon(daemon);
}

enum MHD_Result MHD_run(struct MHD_Daemon *daemon)
{
	return library.run(daemon);
}

enum MHD_Result MHD_get_timeout(struct MHD_Daemon *daemon, MHD_UNSIGNED_LONG_LONG *ret_ms)
{
	return library.get_timeout(daemon, ret_ms);
}

/* Of the questions that take no argument. */
const union MHD_DaemonInfo *MHD_get_daemon_info(struct MHD_Daemon *daemon, enum MHD_DaemonInfoType type, ...)
{
	return library.get_daemon_info(daemon, type);
}

/* Of the questions that take no argument. */
const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection,
							enum MHD_ConnectionInfoType type, ...)
{
	return library.get_connection_info(connection, type);
}

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
					const char *key)
{
	return library.lookup_connection_value(connection, kind, key);
}

enum MHD_Result MHD_lookup_connection_value_n(struct MHD_Connection *connection, enum MHD_ValueKind kind,
					      const char *key, size_t key_size, const char **ret,
					      size_t *ret_size)
{
	return library.lookup_connection_value_n(connection, kind, key, key_size, ret, ret_size);
}

void MHD_suspend_connection(struct MHD_Connection *connection)
{
	library.suspend_connection(connection);
}

void MHD_resume_connection(struct MHD_Connection *connection)
{
	library.resume_connection(connection);
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *bytes, enum MHD_ResponseMemoryMode mode)
{
	return library.create_response_from_buffer(size, bytes, mode);
}

void MHD_destroy_response(struct MHD_Response *response)
{
	library.destroy_response(response);
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *name, const char *value)
{
	return library.add_response_header(response, name, value);
}

int MHD_get_response_headers(struct MHD_Response *response, MHD_KeyValueIterator visit, void *userdata)
{
	return library.get_response_headers(response, visit, userdata);
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned int status,
				   struct MHD_Response *response)
{
	return library.queue_response(connection, status, response);
}
