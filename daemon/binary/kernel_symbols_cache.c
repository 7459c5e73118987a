/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_symbols_cache.h. The entry is the table as it lies in memory, and is read where it lies
 * (stored_symbols.h). */
#include "binary/kernel_symbols_cache.h"

#include "base/file.h"
#include "binary/stored_symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PAGE 4096
#define MAX_MODULES_BYTES (1UL << 20)

static void add_bytes(struct sha256_ctx *hash, const void *bytes, size_t size)
{
	uint64_t length = size; /* so that no two lists of parts read the same */
	sha256_update(hash, sizeof(length), (const uint8_t *)&length);
	sha256_update(hash, size, bytes);
}

/* A file that cannot be read counts as an empty one. */
static void add_file(struct sha256_ctx *hash, const char *path, size_t limit)
{
	_cleanup_free_ char *bytes = NULL;
	size_t size = 0;
	if (read_whole_file(path, limit, &bytes, &size) < 0)
		size = 0;
	add_bytes(hash, bytes ? bytes : "", size);
}

/* Name, size and address of each: "name size references users state address" (kernel/module/procfs.c).
 * References and users come and go with use. */
static void add_modules(struct sha256_ctx *hash, const char *path)
{
	FILE *file = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;
	while (file && getline(&line, &capacity, file) > 0) {
		char name[128], size[32], state[32], address[32];
		if (sscanf(line, "%127s %31s %*s %*s %31s %31s", name, size, state, address) != 4)
			continue;
		add_bytes(hash, name, strlen(name));
		add_bytes(hash, size, strlen(size));
		add_bytes(hash, address, strlen(address));
	}
	if (file)
		fclose(file);
}

static int add_first_page(struct sha256_ctx *hash, const char *path)
{
	char page[FIRST_PAGE];
	_cleanup_fd_ int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = file < 0 ? -1 : read(file, page, sizeof(page));
	if (n < 0)
		return -errno;
	add_bytes(hash, page, (size_t)n);
	return 0;
}

static int make_key(const struct artifact_cache *cache, const struct kernel_files *files,
		    struct artifact_key *ret)
{
	struct sha256_ctx hash;
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct file_identity identity = {.size = 0};
	sha256_init(&hash);
	int r = add_first_page(&hash, files->kallsyms);
	if (r < 0)
		return r;
	add_file(&hash, files->boot_id, FIRST_PAGE);
	add_file(&hash, files->notes, MAX_MODULES_BYTES);
	add_modules(&hash, files->modules);
	sha256_digest(&hash, sizeof(digest), digest);
	_Static_assert(sizeof(identity) >= sizeof(digest), "the digest is the identity");
	memcpy(&identity, digest, sizeof(digest));
	artifact_cache_key(cache, ARTIFACT_KERNEL_SYMBOLS, &identity, NULL, ret);
	return 0;
}

static int open_entry(struct artifact_cache *cache, const struct artifact_key *key, struct kernel_symbols *ret)
{
	struct artifact_file artifact;
	struct stored_symbols *stored;
	int r = artifact_cache_open_artifact(cache, key, ARTIFACT_KERNEL_SYMBOLS, &artifact);
	if (r == 0)
		r = stored_symbols_open(&artifact, SECTION_KERNEL_SYMBOLS, SECTION_KERNEL_NAMES, &stored);
	if (r == 0)
		*ret = (struct kernel_symbols){.stored = stored};
	return r;
}

int kernel_symbols_open(struct artifact_cache *cache, const struct kernel_files *files, struct kernel_symbols *ret)
{
	struct artifact_key key;
	if (!cache || make_key(cache, files, &key) < 0)
		return -ENOENT;
	return open_entry(cache, &key, ret);
}

int kernel_symbols_pack(const struct kernel_symbols *s, struct text *ret)
{
	artifact_begin(ret, ARTIFACT_KERNEL_SYMBOLS);
	artifact_add_section(ret, SECTION_KERNEL_SYMBOLS, s->symbols.items,
			     s->symbols.count * sizeof(*s->symbols.items));
	artifact_add_section(ret, SECTION_KERNEL_NAMES, s->names, s->names_size);
	return artifact_finish(ret);
}

int kernel_symbols_store(struct artifact_cache *cache, const struct kernel_files *files, const struct text *packed,
			 struct kernel_symbols *ret)
{
	struct artifact_key key;
	struct artifact artifact = {.bytes = packed->bytes, .size = packed->length};
	int r = cache ? make_key(cache, files, &key) : -ENOENT;
	if (r == 0)
		r = artifact_cache_write(cache, &key, 0, &artifact);
	if (r == 0)
		r = open_entry(cache, &key, ret);
	return r;
}
