/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the socket to the service manager. */
#include "service/notify.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* an abstract name */
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		return -errno;
	*ret_fd = take_fd(fd);
	return 0;
}

/* The watchdog may be meant for another process that handed its environment down. */
static uint64_t watchdog_ns(const char *usec, const char *pid)
{
	uint64_t number, process;
	if (!usec || text_parse_u64(usec, 1, UINT64_MAX / 1000, &number) < 0)
		return 0;
	if (pid && (text_parse_u64(pid, 1, INT32_MAX, &process) < 0 || (pid_t)process != getpid()))
		return 0;
	return number * 1000;
}

int notifier_open(struct notifier *notifier)
{
	const char *path = getenv("NOTIFY_SOCKET");
	*notifier = (struct notifier)NOTIFIER_NONE;
	int r = path ? connect_to(path, &notifier->fd) : 0;
	if (r == 0 && path)
		notifier->watchdog_ns =
			watchdog_ns(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return r;
}

void notifier_close(struct notifier *notifier)
{
	notifier->fd = close_fd(notifier->fd);
}

void notifier_send(const struct notifier *notifier, const char *format, ...)
{
	char message[1024];
	va_list arguments;
	if (notifier->fd < 0)
		return;
	va_start(arguments, format);
	int length = vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	if (length > 0)
		send(notifier->fd, message, MIN_OF((size_t)length, sizeof(message) - 1),
		     MSG_NOSIGNAL | MSG_DONTWAIT);
}
