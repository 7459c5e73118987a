/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See artifact_eviction.h. An eighth more than needed is deleted, so that a full cache is not listed
 * at every write. Other processes may write and delete at the same time: a file that is gone counts
 * as deleted, and one that came since is seen next time.
 */
#include "binary/artifact_eviction.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TEMPORARY_AGE_S 3600

struct entry {
	char name[72]; /* longer ones are not ours */
	time_t accessed;
	uint64_t size;
};

struct listing {
	ARRAY(struct entry) entries;
	uint64_t bytes;
};

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

static int add_entry(struct listing *listing, int directory, const char *name, time_t now)
{
	struct stat st;
	struct entry entry = {.size = 0};
	if (strlen(name) >= sizeof(entry.name) ||
	    fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (strncmp(name, ARTIFACT_TEMPORARY_PREFIX, strlen(ARTIFACT_TEMPORARY_PREFIX)) == 0 &&
	    now - st.st_mtime > MAX_TEMPORARY_AGE_S) {
		unlinkat(directory, name, 0);
		return 0;
	}
	strcpy(entry.name, name);
	entry.accessed = st.st_atime;
	entry.size = (uint64_t)st.st_size;
	listing->bytes += entry.size;
	return array_add(&listing->entries, entry);
}

static int list_directory(struct listing *listing, int directory, time_t now)
{
	/* Opened anew: a duplicate would share the position with the cache's own descriptor. */
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	_cleanup_(close_directory) DIR *stream = fdopendir(fd);
	if (!stream) {
		close_fd(fd);
		return -ENOMEM;
	}
	struct dirent *found;
	int r = 0;
	while (r == 0 && (found = readdir(stream)))
		r = add_entry(listing, directory, found->d_name, now);
	return r;
}

static int compare_access(const void *a, const void *b)
{
	time_t x = ((const struct entry *)a)->accessed, y = ((const struct entry *)b)->accessed;
	return x < y ? -1 : x > y;
}

static void delete_oldest(struct listing *listing, int directory, uint64_t max_bytes,
			  uint64_t *evicted)
{
	qsort(listing->entries.items, listing->entries.count, sizeof(struct entry), compare_access);
	for (size_t i = 0; i < listing->entries.count && listing->bytes > max_bytes; i++) {
		const struct entry *entry = &listing->entries.items[i];
		if (unlinkat(directory, entry->name, 0) < 0 && errno != ENOENT)
			continue;
		listing->bytes -= entry->size;
		(*evicted)++;
	}
}

int artifact_evict(int directory, uint64_t max_bytes, uint64_t now_ns, uint64_t *ret_bytes,
		   uint64_t *evicted)
{
	struct listing listing = {0};
	int r = list_directory(&listing, directory, (time_t)(now_ns / NS_PER_SECOND));
	if (r == 0 && listing.bytes > max_bytes)
		delete_oldest(&listing, directory, max_bytes - max_bytes / 8, evicted);
	array_free(&listing.entries);
	*ret_bytes = listing.bytes;
	return r;
}
