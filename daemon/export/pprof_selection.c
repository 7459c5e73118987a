/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last minutes of a flight recorder as one profile. Names say when intervals began; when they ended
 * is in the file, and at the latest the time it was written.
 */
#include "base/clock.h"
#include "base/file.h"
#include "export/pprof_directory.h"
#include "export/pprof_files.h"
#include "format/pprof.h"
#include "profile/merge.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Merged at a time: few enough to be in memory at once, many enough that the sum is not copied each time. */
#define BATCH 16

struct selection {
	int directory;
	const char *kind;
	int64_t since_ns, until_ns;
	struct profile *batch[BATCH]; /* [0] is the sum so far */
	size_t count;
	struct pprof_selection found;
};

static int decode_file(struct selection *selection, const char *name, struct profile **ret)
{
	size_t size;
	struct pprof_failure failure;
	_cleanup_free_ char *bytes = NULL;
	_cleanup_fd_ int fd = openat(selection->directory, name,
				     O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	int r = read_whole_fd(fd, PPROF_SIZE_LIMIT, &bytes, &size);
	return r < 0 ? r : pprof_decode(bytes, size, 0, &failure, ret);
}

/* One by one, leaving out what has nothing in common with the sum. */
static int merge_one_by_one(struct selection *selection)
{
	for (size_t i = 1; i < selection->count; i++) {
		const struct profile *pair[] = {selection->batch[0], selection->batch[i]};
		struct profile *sum;
		int r = profile_merge(pair, 2, &sum);
		if (r == -ENOMEM)
			return r;
		if (r == 0) {
			profile_free(selection->batch[0]);
			selection->batch[0] = sum;
		} else {
			selection->found.merged--;
			selection->found.skipped++;
		}
	}
	return 0;
}

static int merge_batch(struct selection *selection)
{
	struct profile *sum = NULL;
	if (selection->count < 2)
		return 0;
	int r = profile_merge((const struct profile *const *)selection->batch, selection->count,
			      &sum);
	if (r == -EINVAL)
		r = merge_one_by_one(selection);
	if (r < 0)
		return r;
	for (size_t i = sum ? 0 : 1; i < selection->count; i++)
		selection->batch[i] = profile_free(selection->batch[i]);
	if (sum)
		selection->batch[0] = sum;
	selection->count = 1;
	return 0;
}

static int add_file(struct selection *selection, const struct pprof_file *file)
{
	_cleanup_profile_ struct profile *profile = NULL;
	if (strcmp(file->kind, selection->kind) || file->start_ns >= selection->until_ns ||
	    (file->start_ns < selection->since_ns && file->written_ns <= selection->since_ns))
		return 0;
	int r = decode_file(selection, file->name, &profile);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		selection->found.skipped++;
		return 0;
	}
	int64_t end;
	if (__builtin_add_overflow(profile->time_ns, profile->duration_ns, &end))
		end = INT64_MAX;
	if (profile->time_ns && end <= selection->since_ns)
		return 0;
	selection->batch[selection->count++] = take_pointer(profile);
	selection->found.merged++;
	return selection->count == BATCH ? merge_batch(selection) : 0;
}

int pprof_directory_merge(const char *directory, const char *host, const char *kind,
			  int64_t since_ns, int64_t until_ns, struct pprof_selection *ret_selection,
			  struct profile **ret)
{
	pprof_files files = {0};
	_cleanup_fd_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct selection selection = {.directory = fd, .kind = kind, .since_ns = since_ns, .until_ns = until_ns};
	int r = pprof_files_list(fd, host, false, &files);
	for (size_t i = 0; r == 0 && i < files.count; i++)
		r = add_file(&selection, &files.items[i]);
	if (r == 0)
		r = merge_batch(&selection);
	array_free(&files);
	if (r == 0 && !selection.count)
		r = -ENOENT;
	if (r == 0)
		*ret = take_pointer(selection.batch[0]);
	for (size_t i = 0; i < selection.count; i++)
		profile_free(selection.batch[i]);
	*ret_selection = selection.found;
	return r;
}
