/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that http_server.h serves on. */
#include "base/file.h"
#include "service/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static bool somebody_listens(const struct sockaddr_un *address)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
}

int http_listen_unix(const char *path, mode_t mode)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode) || somebody_listens(&address))
			return -EADDRINUSE;
		unlink(path);
	}
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* No moment with more rights than asked for. */
	mode_t before = umask(0777 & ~mode);
	int r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(before);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	return r < 0 ? r : take_fd(fd);
}

static int listen_on(const struct addrinfo *address)
{
	int yes = 1;
	_cleanup_fd_ int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(fd);
}

/* Numeric, so that starting never waits for a name server. Returns 0, -EINVAL or -ENOMEM. */
static int parse_address(const char *address, struct addrinfo **ret)
{
	_cleanup_free_ char *copy = strdup(address);
	if (!copy)
		return -ENOMEM;
	char *port = strrchr(copy, ':'), *host = copy;
	if (!port || port == copy || !port[1])
		return -EINVAL;
	*port++ = '\0';
	size_t length = strlen(host);
	uint64_t number;
	if (text_parse_u64(port, 0, 65535, &number) < 0)
		return -EINVAL;
	if (host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		host++;
	} else if (strchr(host, ':')) {
		return -EINVAL;
	}
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	return getaddrinfo(host, port, &hints, ret) ? -EINVAL : 0;
}

bool http_address_is_valid(const char *address)
{
	struct addrinfo *found;
	if (parse_address(address, &found) < 0)
		return false;
	freeaddrinfo(found);
	return true;
}

int http_listen_tcp(const char *address)
{
	struct addrinfo *found;
	int r = parse_address(address, &found);
	if (r < 0)
		return r;
	r = listen_on(found);
	freeaddrinfo(found);
	return r;
}
