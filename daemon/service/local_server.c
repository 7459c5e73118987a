/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the listeners and the table of what is where. */
#include "service/local_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "service/setting.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_TIMEOUT_NS (300 * NS_PER_MS)

/* The first ones are all that the health listener has. */
#define HEALTH_ROUTES 3
static const struct http_route routes[] = {
	{"/healthz", HTTP_GET, local_healthz},
	{"/readyz", HTTP_GET, local_readyz},
	{"/metrics", HTTP_GET, local_metrics},
	{"/", HTTP_GET, local_page},
	{"/api/live", HTTP_GET, local_live},
	{"/api/flame", HTTP_GET, local_flame},
	{"/api/status", HTTP_GET, local_status},
	{"/api/dump", HTTP_GET, local_dump},
	{"/api/stop", HTTP_POST, local_stop},
	{"/api/start", HTTP_POST, local_start},
	{"/api/reset", HTTP_POST, local_reset},
	{"/debug/pprof", HTTP_GET, local_pprof_index},
	{"/debug/pprof/", HTTP_GET, local_pprof_index},
	{"/debug/pprof/profile", HTTP_GET, local_pprof_profile},
	{"/debug/pprof/heap", HTTP_GET, local_pprof_heap},
	{"/debug/pprof/allocs", HTTP_GET, local_pprof_allocs},
	{"/debug/pprof/cmdline", HTTP_GET, local_pprof_cmdline},
	{"/debug/pprof/symbol", HTTP_GET | HTTP_POST, local_pprof_symbol},
};

/* ---- Listeners ------------------------------------------------------------------------------------- */

/* The last directory is made, as for /run/bolometer; the ones above must be there. */
static int make_directory_of(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	return mkdir(dirname(copy), 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int set_group(const struct http_configuration *http)
{
	const struct group *group = getgrnam(http->socket_group);
	if (!group) {
		log_error("http.socket_group: there is no group %s", http->socket_group);
		return -EINVAL;
	}
	if (chown(http->socket, (uid_t)-1, group->gr_gid) == 0)
		return 0;
	int r = -errno;
	log_error("http.socket_group: cannot give %s to the group %s: %s", http->socket,
		  http->socket_group, strerror(-r));
	return r;
}

static int listen_unix(struct local_server *local, const struct http_configuration *http)
{
	int r = make_directory_of(http->socket);
	int fd = r < 0 ? r : http_listen_unix(http->socket,
					      (mode_t)strtoul(http->socket_mode, NULL, 8));
	if (fd < 0)
		return fd;
	local->socket_path = strdup(http->socket);
	if (local->socket_path)
		return fd;
	close(fd);
	return -ENOMEM;
}

static bool is_default(const char *key, const char *value)
{
	const struct setting *setting = setting_find(configuration_settings, key);
	return setting->initial && strcmp(setting->initial, value) == 0;
}

/* Only what somebody asked for keeps the daemon from starting. */
static int complain(const char *key, const char *value, int error)
{
	const char *why = error == -EADDRINUSE ? "another process listens there" : strerror(-error);
	if (is_default(key, value)) {
		log_warning("%s: cannot listen on %s: %s; nobody can ask there", key, value, why);
		return 0;
	}
	log_error("%s: cannot listen on %s: %s", key, value, why);
	return error;
}

static int serve(struct local_server *local, const char *key, const char *value, int fd,
		 const struct http_server_options *options, struct http_server **ret)
{
	int r = fd < 0 ? fd : http_server_new(local->daemon->loop, fd, options, ret);
	return r < 0 ? complain(key, value, r) : 0;
}

static bool is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0 ||
	       strncmp(address, "localhost:", 10) == 0;
}

static int open_listeners(struct local_server *local)
{
	const struct http_configuration *http = &local->daemon->configuration.http;
	struct http_server_options all = {
		.routes = routes, .route_count = ARRAY_LENGTH(routes), .userdata = local};
	int r = 0;
	local->health_options = local->tcp_options = local->unix_options = all;
	local->health_options.route_count = HEALTH_ROUTES;
	/* Beyond this host it has names that nobody here knows: that of a Kubernetes service. */
	if (http->health_address && !is_loopback(http->health_address))
		local->health_options.hosts = HTTP_HOSTS_ANY;
	local->unix_options.hosts = HTTP_HOSTS_LOCAL;
	local->tcp_options.token_file = http->token_file;
	if (http->socket)
		r = serve(local, "http.socket", http->socket, listen_unix(local, http),
			  &local->unix_options, &local->unix_socket);
	if (r == 0 && local->unix_socket && http->socket_group)
		r = set_group(http);
	if (r == 0 && http->address)
		r = serve(local, "http.address", http->address, http_listen_tcp(http->address),
			  &local->tcp_options, &local->tcp);
	if (r == 0 && http->health_address)
		r = serve(local, "http.health_address", http->health_address,
			  http_listen_tcp(http->health_address), &local->health_options,
			  &local->health);
	return r;
}

/* ---- The server ------------------------------------------------------------------------------------ */

int local_server_new(struct daemon *daemon, struct local_server **ret)
{
	struct local_server *local = calloc(1, sizeof(*local));
	if (!local)
		return -ENOMEM;
	local->daemon = daemon;
	int r = background_new(daemon->loop, MAX_BACKGROUND, &local->background);
	if (r < 0)
		log_error("cannot serve local requests: %s", strerror(-r));
	else
		r = open_listeners(local);
	if (r < 0) {
		local_server_free(local);
		return r;
	}
	*ret = local;
	return 0;
}

struct local_server *local_server_free(struct local_server *local)
{
	if (!local)
		return NULL;
	if (local->socket_path)
		unlink(local->socket_path);
	http_server_free(local->health);
	http_server_free(local->unix_socket);
	http_server_free(local->tcp);
	background_free(local->background, END_TIMEOUT_NS);
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		interval_view_unreference(local->views[kind]);
	free(local->socket_path);
	free(local);
	return NULL;
}
