/* SPDX-License-Identifier: Apache-2.0 */
/* Files made while a test runs, with the tools that make them in real life. */
#pragma once

#include "base/file.h"
#include "base/text.h"
#include "binary/elf_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SKIPPED 77

/* A directory of this test that made_files_end() removes. */
static char made_directory[] = "/tmp/bolometer-test-XXXXXX";

/* Runs a shell command in the directory. True when it succeeded. */
static bool shell(const char *format, ...) _printf_(1, 2);
static bool shell(const char *format, ...)
{
	char command[2048], line[4096];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	snprintf(line, sizeof(line), "cd %s && %s", made_directory, command);
	return system(line) == 0;
}

static void made_files_begin(void)
{
	if (!mkdtemp(made_directory)) {
		perror("mkdtemp");
		exit(1);
	}
}

static _unused_ int made_files_end(void **state)
{
	return shell("rm -rf %s", made_directory) ? 0 : -1;
}

/* Ends the whole test as skipped unless every tool is there. */
static _unused_ void need_tools(const char *tools)
{
	if (shell("for t in %s; do command -v $t >/dev/null || exit 1; done", tools))
		return;
	fprintf(stderr, "skipped: not all of %s are there\n", tools);
	shell("rm -rf %s", made_directory);
	exit(SKIPPED);
}

static _unused_ void write_made(const char *name, const char *contents)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", made_directory, name);
	assert_int_equal(write_file_atomically(path, contents, strlen(contents), 0644), 0);
}

static _unused_ int open_made(const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", made_directory, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Reads and opens an ELF file of the directory; the caller frees the bytes. */
static _unused_ char *open_made_elf(const char *name, struct elf_file *ret)
{
	char *bytes;
	size_t size;
	_cleanup_fd_ int fd = open_made(name);
	assert_int_equal(read_whole_fd(fd, 1 << 28, &bytes, &size), 0);
	assert_int_equal(elf_file_open(bytes, size, ret), 0);
	return bytes;
}
