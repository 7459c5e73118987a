/* SPDX-License-Identifier: Apache-2.0 */
/* See pprof_directory.h: writing and rotating. */
#include "export/pprof_directory.h"

#include "base/clock.h"
#include "base/file.h"
#include "export/pprof_files.h"
#include "format/gzip.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMPRESSION_LEVEL 6
#define MAX_ATTEMPTS 1000
#define TEMPORARY_PREFIX ".bolometer-"
#define TEMPORARY_SUFFIX ".pb.gz.tmp"

struct pprof_directory {
	struct sink sink;
	char *path, *host;
	int directory;
	uint64_t max_age_ns, max_bytes;
	uint64_t (*now_ns)(void);
	pthread_mutex_t lock; /* of the statistics */
	struct pprof_directory_statistics statistics;
};

static struct pprof_directory *of_sink(struct sink *sink)
{
	return container_of(sink, struct pprof_directory, sink);
}

/* -- the directory -------------------------------------------------------------------------- */

/* What a kill left half written. */
static void remove_temporaries(int directory)
{
	struct dirent *entry;
	struct stat st;
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	if (!listing) {
		close_fd(fd);
		return;
	}
	while ((entry = readdir(listing))) {
		const char *name = entry->d_name;
		size_t length = strlen(name), suffix = strlen(TEMPORARY_SUFFIX);
		if (!strncmp(name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) && length > suffix &&
		    !strcmp(name + length - suffix, TEMPORARY_SUFFIX) &&
		    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    st.st_uid == geteuid())
			unlinkat(fd, name, 0);
	}
	closedir(listing);
}

/* Opens it again when it was removed, or another one is in its place. */
static int open_directory(struct pprof_directory *recorder)
{
	struct stat ours, there;
	if (recorder->directory >= 0 && fstat(recorder->directory, &ours) == 0 &&
	    stat(recorder->path, &there) == 0 && ours.st_dev == there.st_dev &&
	    ours.st_ino == there.st_ino)
		return 0;
	recorder->directory = close_fd(recorder->directory);
	if (mkdir(recorder->path, 0700) < 0 && errno != EEXIST && errno != EROFS)
		return -errno;
	recorder->directory = open(recorder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (recorder->directory < 0)
		return -errno;
	remove_temporaries(recorder->directory);
	return 0;
}

static int remove_file(struct pprof_directory *recorder, const struct pprof_file *file, bool disk_full)
{
	if (unlinkat(recorder->directory, file->name, 0) < 0)
		return -errno;
	pthread_mutex_lock(&recorder->lock);
	recorder->statistics.files_rotated++;
	recorder->statistics.bytes_rotated += file->size;
	recorder->statistics.files_sacrificed += disk_full;
	pthread_mutex_unlock(&recorder->lock);
	return 0;
}

/* Makes room for `size` more bytes. A file that cannot be removed is left. */
static void rotate(struct pprof_directory *recorder, uint64_t size)
{
	pprof_files files = {0};
	uint64_t total = size;
	int64_t oldest = recorder->max_age_ns ? (int64_t)(recorder->now_ns() - recorder->max_age_ns)
					      : INT64_MIN;
	if (pprof_files_list(recorder->directory, recorder->host, true, &files) < 0)
		return;
	for (size_t i = 0; i < files.count; i++)
		total += files.items[i].size;
	for (size_t i = 0; i < files.count; i++) {
		struct pprof_file *file = &files.items[i];
		if (file->start_ns >= oldest && total <= recorder->max_bytes)
			break;
		if (remove_file(recorder, file, false) == 0)
			total -= file->size;
	}
	array_free(&files);
}

/* Removes the oldest own file. Returns 0, -ENOENT when there is none, or -errno. */
static int sacrifice_oldest(struct pprof_directory *recorder)
{
	pprof_files files = {0};
	int r = pprof_files_list(recorder->directory, recorder->host, true, &files);
	if (r == 0)
		r = files.count ? remove_file(recorder, &files.items[0], true) : -ENOENT;
	array_free(&files);
	return r;
}

/* -- writing -------------------------------------------------------------------------------- */

static int compress_payload(const struct payload *payload, struct text *out)
{
	if (gzip_is(payload->bytes, payload->size)) {
		text_add_bytes(out, payload->bytes, payload->size);
		return out->failed ? -ENOMEM : 0;
	}
	return gzip_compress(payload->bytes, payload->size, COMPRESSION_LEVEL, out);
}

/* Gives the file a name that no other has. */
static int give_name(struct pprof_directory *recorder, const char *temporary, const char *kind,
		     int64_t start_ns)
{
	char name[PPROF_FILE_NAME_SIZE];
	for (unsigned int attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
		pprof_file_name(name, recorder->host, kind, start_ns, attempt);
		if (linkat(recorder->directory, temporary, recorder->directory, name, 0) == 0) {
			unlinkat(recorder->directory, temporary, 0);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	/* File systems without hard links: the name is free, or the older file goes. */
	return renameat(recorder->directory, temporary, recorder->directory, name) < 0 ? -errno : 0;
}

static int write_file(struct pprof_directory *recorder, const struct text *bytes, const char *kind,
		      int64_t start_ns)
{
	char temporary[64];
	snprintf(temporary, sizeof(temporary), TEMPORARY_PREFIX "%d" TEMPORARY_SUFFIX, (int)getpid());
	unlinkat(recorder->directory, temporary, 0);
	_cleanup_fd_ int fd = openat(recorder->directory, temporary,
				     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, bytes->bytes, bytes->length);
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = give_name(recorder, temporary, kind, start_ns);
	if (r == 0)
		fsync(recorder->directory); /* failed: a loss of power now may take the name */
	if (r < 0)
		unlinkat(recorder->directory, temporary, 0);
	return r;
}

static int write_making_room(struct pprof_directory *recorder, const struct text *bytes,
			     const char *kind, int64_t start_ns)
{
	int r;
	do {
		r = write_file(recorder, bytes, kind, start_ns);
	} while ((r == -ENOSPC || r == -EDQUOT) && sacrifice_oldest(recorder) == 0);
	return r;
}

static const char *name_of_kind(enum payload_kind kind)
{
	switch (kind) {
	case PAYLOAD_PPROF_GROWTH:
		return "growth";
	case PAYLOAD_PPROF_HEAP:
		return "heap";
	case PAYLOAD_PPROF_OOM_CPU:
		return "oom-cpu";
	case PAYLOAD_PPROF_OOM_GROWTH:
		return "oom-growth";
	case PAYLOAD_PPROF_OOM_HEAP:
		return "oom-heap";
	default:
		return "";
	}
}

static void write_payload(struct pprof_directory *recorder, const struct payload *payload,
			  struct sink_result *ret)
{
	struct text bytes = {0};
	int r = compress_payload(payload, &bytes);
	if (r == 0 && bytes.length > recorder->max_bytes) {
		ret->outcome = SINK_REJECTED;
		snprintf(ret->message, sizeof(ret->message),
			 "a profile of %zu bytes is larger than all files may be", bytes.length);
		text_free(&bytes);
		return;
	}
	if (r == 0)
		r = open_directory(recorder);
	if (r == 0) {
		rotate(recorder, bytes.length);
		r = write_making_room(recorder, &bytes,
				      name_of_kind(payload->kind),
				      payload->start_ns);
	}
	ret->outcome = r == 0 ? SINK_SENT : SINK_RETRY;
	if (r < 0)
		snprintf(ret->message, sizeof(ret->message), "writing a profile to %.150s: %s",
			 recorder->path, strerror(-r));
	ret->bytes_sent = r == 0 ? bytes.length : 0;
	pthread_mutex_lock(&recorder->lock);
	recorder->statistics.files_written += r == 0;
	recorder->statistics.bytes_written += ret->bytes_sent;
	recorder->statistics.failures += r < 0;
	pthread_mutex_unlock(&recorder->lock);
	text_free(&bytes);
}

/* -- the sink ------------------------------------------------------------------------------- */

static void directory_send(struct sink *sink, const struct payload *payload, uint64_t timeout_ns,
			   struct sink_result *ret)
{
	*ret = (struct sink_result){.outcome = SINK_REJECTED};
	if (payload_is_pprof(payload->kind))
		write_payload(of_sink(sink), payload, ret);
	else
		snprintf(ret->message, sizeof(ret->message), "not a pprof profile");
}

/* A write to a disk cannot be called back. */
static void directory_cancel(struct sink *sink)
{
}

static struct sink *directory_free(struct sink *sink)
{
	struct pprof_directory *recorder = of_sink(sink);
	if (!sink)
		return NULL;
	close_fd(recorder->directory);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder->path);
	free(recorder->host);
	free(recorder);
	return NULL;
}

static const struct sink_operations operations = {directory_send, directory_cancel, directory_free};

int pprof_directory_new(const struct pprof_directory_options *options, struct sink **ret)
{
	struct pprof_directory *recorder = calloc(1, sizeof(*recorder));
	if (!recorder)
		return -ENOMEM;
	recorder->sink.operations = &operations;
	pthread_mutex_init(&recorder->lock, NULL);
	recorder->directory = -1;
	recorder->path = strdup(options->directory);
	recorder->host = strdup(options->host);
	recorder->max_age_ns = options->max_age_ns;
	recorder->max_bytes = options->max_bytes ? options->max_bytes : PPROF_DIRECTORY_MAX_BYTES;
	recorder->now_ns = options->now_ns ? options->now_ns : realtime_ns;
	if (!recorder->path || !recorder->host) {
		directory_free(&recorder->sink);
		return -ENOMEM;
	}
	*ret = &recorder->sink;
	return 0;
}

void pprof_directory_statistics(struct sink *sink, struct pprof_directory_statistics *ret)
{
	struct pprof_directory *recorder = of_sink(sink);
	pthread_mutex_lock(&recorder->lock);
	*ret = recorder->statistics;
	pthread_mutex_unlock(&recorder->lock);
}
