/* SPDX-License-Identifier: Apache-2.0 */
/* See terminal.h. */
#include "command/terminal.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_can_erase(int fd)
{
	const char *terminal = getenv("TERM");
	return isatty(fd) && terminal && strcmp(terminal, "dumb") != 0;
}

bool terminal_has_colour(int fd)
{
	const char *no_colour = getenv("NO_COLOR");
	return terminal_can_erase(fd) && !(no_colour && *no_colour);
}

const char *terminal_colour(bool enabled, enum colour colour)
{
	static const char *const sequences[] = {
		[COLOUR_NONE] = "\033[0m",   [COLOUR_RED] = "\033[31m",
		[COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m",
		[COLOUR_BOLD] = "\033[1m",   [COLOUR_DIM] = "\033[2m",
	};
	return enabled ? sequences[colour] : "";
}

unsigned terminal_width(int fd)
{
	struct winsize size;
	if (!isatty(fd))
		return 0;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

const char *text_count(char *buffer, size_t size, uint64_t number)
{
	char digits[24];
	size_t length =
		(size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
	size_t used = 0;
	for (size_t i = 0; i < length && used + 2 < size; i++) {
		if (i && (length - i) % 3 == 0)
			buffer[used++] = ',';
		buffer[used++] = digits[i];
	}
	buffer[used] = '\0';
	return buffer;
}

const char *text_share(char *buffer, size_t size, double part, double whole)
{
	double share = whole > 0 ? part / whole * 100 : 0;
	snprintf(buffer, size, share == 0 ? "%.0f %%" : share < 1 ? "%.2f %%" : "%.1f %%", share);
	return buffer;
}

const char *text_plural(uint64_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}
