/* SPDX-License-Identifier: Apache-2.0 */
/* See pprof_files.h. */
#include "export/pprof_files.h"

#include "base/clock.h"
#include "base/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "bolometer-"
#define SUFFIX ".pb.gz"
#define TIME_LENGTH 20 /* 20261123T101500.123Z */
#define HOST_MAX 64

static void host_part(char part[static HOST_MAX + 1], const char *host)
{
	size_t length = 0;
	for (; host[length] && length < HOST_MAX; length++) {
		char c = host[length];
		part[length] = isalnum((unsigned char)c) || strchr("._-", c) ? c : '_';
	}
	part[length] = '\0';
}

void pprof_file_name(char name[static PPROF_FILE_NAME_SIZE], const char *host, const char *kind,
		     int64_t start_ns, unsigned int attempt)
{
	struct tm utc;
	char part[HOST_MAX + 1], again[16] = "", date[32];
	time_t seconds = (time_t)(start_ns / (int64_t)NS_PER_SECOND);
	long ms = (long)(start_ns / (int64_t)NS_PER_MS % 1000);
	if (start_ns < 0 || !gmtime_r(&seconds, &utc) || utc.tm_year > 9999 - 1900) {
		seconds = 0, ms = 0; /* no clock, no name of its own: the attempt tells them apart */
		gmtime_r(&seconds, &utc);
	}
	host_part(part, host);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%S", &utc);
	if (attempt > 1)
		snprintf(again, sizeof(again), "-%u", attempt);
	snprintf(name, PPROF_FILE_NAME_SIZE, PREFIX "%s-%s.%03ldZ%s%s%.16s" SUFFIX, part, date, ms, again,
		 kind[0] ? "." : "", kind);
}

/* Two digits and more of a time, all of them digits. */
static int number_at(const char *digits, size_t count)
{
	int value = 0;
	for (size_t i = 0; i < count; i++) {
		if (!isdigit((unsigned char)digits[i]))
			return -1;
		value = value * 10 + digits[i] - '0';
	}
	return value;
}

static bool parse_time(const char *text, int64_t *ret_ns)
{
	int year = number_at(text, 4), month = number_at(text + 4, 2), day = number_at(text + 6, 2);
	int hour = number_at(text + 9, 2), minute = number_at(text + 11, 2);
	int second = number_at(text + 13, 2), ms = number_at(text + 16, 3);
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
	    minute < 0 || minute > 59 || second < 0 || second > 60 || ms < 0 || text[8] != 'T' ||
	    text[15] != '.' || text[19] != 'Z')
		return false;
	struct tm utc = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour,
			 .tm_min = minute, .tm_sec = second};
	*ret_ns = (int64_t)timegm(&utc) * (int64_t)NS_PER_SECOND + ms * (int64_t)NS_PER_MS;
	return true;
}

/* Where a name without its suffix ends when its kind, ".growth", is left out too. */
static const char *end_without_kind(const char *name, const char *end)
{
	const char *word = end;
	while (word > name && (islower((unsigned char)word[-1]) || word[-1] == '-'))
		word--;
	return word < end && word > name && word[-1] == '.' ? word - 1 : end;
}

bool pprof_file_parse(const char *name, const char *host, int64_t *ret_start_ns,
		      char ret_kind[static PPROF_FILE_KIND_SIZE])
{
	size_t length = strlen(name), prefix = strlen(PREFIX), suffix = strlen(SUFFIX);
	if (length >= PPROF_FILE_NAME_SIZE || length < prefix + 1 + TIME_LENGTH + suffix ||
	    strncmp(name, PREFIX, prefix) || strcmp(name + length - suffix, SUFFIX))
		return false;
	const char *whole = name + length - suffix, *end = end_without_kind(name, whole), *digits = end;
	int kind_length = end < whole ? (int)(whole - end) - 1 : 0;
	if (kind_length >= PPROF_FILE_KIND_SIZE)
		return false;
	snprintf(ret_kind, PPROF_FILE_KIND_SIZE, "%.*s", kind_length, whole - kind_length);
	while (digits > name && isdigit((unsigned char)digits[-1]))
		digits--;
	if (digits > name && digits < end && digits[-1] == '-')
		end = digits - 1; /* "-2" */
	const char *time = end - TIME_LENGTH;
	if (end - name < TIME_LENGTH || time < name + prefix + 1 || time[-1] != '-' || !parse_time(time, ret_start_ns))
		return false;
	if (!host)
		return true;
	char part[HOST_MAX + 1];
	host_part(part, host);
	size_t part_length = strlen(part);
	return (size_t)(time - 1 - (name + prefix)) == part_length &&
	       !strncmp(name + prefix, part, part_length);
}

static int compare_files(const void *a, const void *b)
{
	const struct pprof_file *x = a, *y = b;
	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int list_entries(DIR *listing, const char *host, bool only_own, pprof_files *files)
{
	struct dirent *entry;
	while ((entry = readdir(listing))) {
		struct stat st;
		struct pprof_file file;
		if (!pprof_file_parse(entry->d_name, host, &file.start_ns, file.kind) ||
		    fstatat(dirfd(listing), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode) || (only_own && st.st_uid != geteuid()))
			continue;
		snprintf(file.name, sizeof(file.name), "%.*s", PPROF_FILE_NAME_SIZE - 1,
			 entry->d_name);
		file.size = (uint64_t)st.st_size;
		file.written_ns = (int64_t)st.st_mtim.tv_sec * (int64_t)NS_PER_SECOND +
				  st.st_mtim.tv_nsec;
		if (array_add(files, file) < 0)
			return -ENOMEM;
	}
	return 0;
}

int pprof_files_list(int directory, const char *host, bool only_own, pprof_files *ret)
{
	/* A descriptor of its own: a copy would share the position of the listing. */
	_cleanup_fd_ int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	if (!listing)
		return -errno;
	fd = -1;
	pprof_files files = {0};
	int r = list_entries(listing, host, only_own, &files);
	closedir(listing);
	if (r < 0) {
		array_free(&files);
		return r;
	}
	if (files.count)
		qsort(files.items, files.count, sizeof(*files.items), compare_files);
	*ret = files;
	return 0;
}
