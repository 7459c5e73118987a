/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per message, written with a single write(2) so that lines of processes and
 * threads do not mix.
 *
 * A message that comes again and again is told by its kind, see log_kind(): past BURST of them in a
 * WINDOW the rest are only counted, and the first one of the next window says how many they were.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BURST 10
#define WINDOW_NS (30 * NS_PER_SECOND)
#define LIMITED_MESSAGES 64

struct limited_message {
	uint64_t kind; /* log_kind() */
	uint64_t window_start;
	uint32_t written, suppressed;
};

static _Atomic enum log_level most_detailed = LOG_LEVEL_INFO;
static _Atomic enum log_format line_format = LOG_FORMAT_TEXT;
static _Atomic bool has_priorities, is_limited;
static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;
static struct limited_message limited[LIMITED_MESSAGES];

void log_set_level(enum log_level level)
{
	most_detailed = level;
}

enum log_level log_get_level(void)
{
	return most_detailed;
}

void log_set_format(enum log_format format)
{
	line_format = format;
}

void log_set_limited(bool on)
{
	is_limited = on;
}

bool log_is_journal(const char *stream, int fd)
{
	unsigned long long device, inode;
	struct stat facts;
	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &facts) == 0 &&
	       facts.st_dev == device && facts.st_ino == inode;
}

void log_set_journal(bool on)
{
	has_priorities = on;
}

/* The slot of the message, or of the oldest one. */
static struct limited_message *find_limited(uint64_t kind)
{
	struct limited_message *oldest = &limited[0];
	for (size_t i = 0; i < LIMITED_MESSAGES; i++) {
		if (limited[i].kind == kind)
			return &limited[i];
		if (limited[i].window_start < oldest->window_start)
			oldest = &limited[i];
	}
	*oldest = (struct limited_message){.kind = kind};
	return oldest;
}

uint64_t log_kind(const char *format, const char *message)
{
	return strcmp(format, "%s") == 0 ? hash_bytes(message, strlen(message)) : (uintptr_t)format;
}

bool log_allows(uint64_t kind, uint64_t now_ns, uint32_t *ret_suppressed)
{
	pthread_mutex_lock(&limit_lock);
	struct limited_message *message = find_limited(kind);
	*ret_suppressed = 0;
	if (!message->window_start || now_ns - message->window_start >= WINDOW_NS) {
		*ret_suppressed = message->suppressed;
		*message = (struct limited_message){.kind = kind, .window_start = now_ns};
	}
	bool allowed = message->written < BURST;
	if (allowed)
		message->written++;
	else
		message->suppressed++;
	pthread_mutex_unlock(&limit_lock);
	return allowed;
}

static void add_json(struct text *line, enum log_level level, const char *message)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	uint64_t now = realtime_ns();
	time_t seconds = (time_t)(now / NS_PER_SECOND);
	struct tm utc;
	char time[32];
	gmtime_r(&seconds, &utc);
	strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &utc);
	text_add(line, "{\"time\":\"%s.%03uZ\",\"level\":\"%s\",\"message\":\"", time,
		 (unsigned)(now % NS_PER_SECOND / NS_PER_MS), names[level]);
	text_add_json(line, message);
	text_add_string(line, "\"}\n");
}

static void add_text(struct text *line, enum log_level level, const char *message)
{
	static const char *const names[] = {"error: ", "warning: ", "", "debug: "};
	static const int priorities[] = {3, 4, 6, 7}; /* syslog(3) */
	if (has_priorities)
		text_add(line, "<%d>", priorities[level]);
	else
		text_add(line, "bolometer: %s", names[level]);
	text_add_printable(line, message); /* a name of somebody's must not look like a line of ours */
	text_add_char(line, '\n');
}

void log_message(enum log_level level, const char *format, ...)
{
	if (level > most_detailed)
		return;

	char message[2048];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	length = MIN_OF(length, (int)sizeof(message) - 1);
	uint32_t suppressed = 0;
	if (is_limited && level < LOG_LEVEL_DEBUG &&
	    !log_allows(log_kind(format, message), monotonic_ns(), &suppressed))
		return;
	if (suppressed)
		snprintf(message + length, sizeof(message) - (size_t)length,
			 " (and %u more like it before)", suppressed);
	struct text line = {0};
	if (line_format == LOG_FORMAT_JSON)
		add_json(&line, level, message);
	else
		add_text(&line, level, message);
	if (!line.failed && write(STDERR_FILENO, line.bytes, line.length) < 0)
		(void)0; /* nowhere left to say it */
	text_free(&line);
}
