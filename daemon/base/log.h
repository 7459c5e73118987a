/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for people, on standard error. Helpers stay quiet and return negative errno; the edge
 * that decides what a failure means logs it once, with what was tried and how to fix it. Every
 * function may be called from any thread.
 */
#pragma once

#include "base/attributes.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Sets the most detailed level that is still printed. Default: LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

enum log_format {
	LOG_FORMAT_TEXT, /* "bolometer: warning: …" */
	LOG_FORMAT_JSON, /* one object a line: time (UTC), level, message */
};

void log_set_format(enum log_format format);

/* Text lines start with "<N>", the priority that the journal reads, instead of words. */
void log_set_journal(bool on);

/* Does `fd` lead to the journal, given the value of $JOURNAL_STREAM ("device:inode") or NULL? */
bool log_is_journal(const char *stream, int fd);

/* For a process that runs for long: a message that repeats is held back, and counted. Messages for
 * debugging are all written: who asks for them looks for one of many. */
void log_set_limited(bool on);

/* Messages with the same kind repeat each other: those of one format string, and where that is "%s" those
 * of one text. */
uint64_t log_kind(const char *format, const char *message);

/* May a message of this kind be written at this time (CLOCK_MONOTONIC)? *ret_suppressed: how many were
 * held back in the window before, to be said with this one. */
bool log_allows(uint64_t kind, uint64_t now_ns, uint32_t *ret_suppressed);

void log_message(enum log_level level, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)
