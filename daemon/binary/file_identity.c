/* SPDX-License-Identifier: Apache-2.0 */
/* See file_identity.h. */
#include "binary/file_identity.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>
#include <sys/stat.h>

#define PART_SIZE 4096
#define SETTLE_NS (2 * NS_PER_SECOND)
#define MAX_SEALED_SIZE (1 << 20)
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

static uint64_t timespec_ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static int hash_range(struct sha256_ctx *hash, int file, uint64_t offset, uint64_t size)
{
	uint8_t part[PART_SIZE];
	while (size) {
		size_t n = MIN_OF(size, sizeof(part));
		int r = read_exactly_at(file, part, n, offset);
		if (r < 0)
			return r;
		sha256_update(hash, n, part);
		offset += n;
		size -= n;
	}
	return 0;
}

static void finish_htlhash(struct sha256_ctx *hash, uint64_t size, uint8_t ret[static HTLHASH_SIZE])
{
	uint8_t length[8];
	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)(size >> (56 - 8 * i));
	sha256_update(hash, sizeof(length), length);
	sha256_digest(hash, HTLHASH_SIZE, ret);
}

void bytes_htlhash(const void *bytes, uint64_t size, uint8_t ret[static HTLHASH_SIZE])
{
	struct sha256_ctx hash;
	uint64_t part = MIN_OF(size, PART_SIZE);
	sha256_init(&hash);
	sha256_update(&hash, part, bytes);
	sha256_update(&hash, part, (const uint8_t *)bytes + (size - part));
	finish_htlhash(&hash, size, ret);
}

int file_htlhash(int file, uint64_t size, uint8_t ret[static HTLHASH_SIZE])
{
	struct sha256_ctx hash;
	uint64_t part = MIN_OF(size, PART_SIZE);
	sha256_init(&hash);
	int r = hash_range(&hash, file, 0, part);
	if (r == 0)
		r = hash_range(&hash, file, size - part, part);
	if (r == 0)
		finish_htlhash(&hash, size, ret);
	return r;
}

/* Nobody can change it any more, so its bytes say it all. */
static bool is_small_and_sealed(int file, const struct stat *st)
{
	if (st->st_size > MAX_SEALED_SIZE)
		return false;
	int seals = fcntl(file, F_GET_SEALS);
	return seals >= 0 && (seals & SEALS) == SEALS;
}

static int read_sealed(int file, uint64_t size, struct file_identity *ret)
{
	struct sha256_ctx hash;
	*ret = (struct file_identity){.size = size};
	sha256_init(&hash);
	int r = hash_range(&hash, file, 0, size);
	if (r == 0)
		finish_htlhash(&hash, size, ret->htlhash);
	return r;
}

int file_identity_read(int file, uint64_t now_ns, struct file_identity *ret)
{
	struct stat st;
	if (fstat(file, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (is_small_and_sealed(file, &st))
		return read_sealed(file, (uint64_t)st.st_size, ret);
	*ret = (struct file_identity){
		.size = (uint64_t)st.st_size,
		.mtime_ns = timespec_ns(st.st_mtim),
		.ctime_ns = timespec_ns(st.st_ctim),
		.device = st.st_dev,
		.inode = st.st_ino,
	};
	/* A time in the future is no better: the clock may pass it again. */
	if (ret->ctime_ns > now_ns || now_ns - ret->ctime_ns < SETTLE_NS)
		return -EAGAIN;
	return file_htlhash(file, ret->size, ret->htlhash);
}

bool file_identity_holds(const struct file_identity *identity, int file)
{
	struct stat st;
	if (stat_cached(file, &st) < 0)
		return false;
	if (identity->ctime_ns == 0 && is_small_and_sealed(file, &st))
		return true;
	return identity->size == (uint64_t)st.st_size &&
	       identity->mtime_ns == timespec_ns(st.st_mtim) &&
	       identity->ctime_ns == timespec_ns(st.st_ctim) &&
	       identity->device == st.st_dev && identity->inode == st.st_ino;
}
