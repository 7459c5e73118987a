/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without libFuzzer: every file of a corpus as it is, then mutations of them from a
 * fixed seed, so that each build runs the same inputs and a failure comes back.
 *
 * Usage: fuzz_X_replay CORPUS-DIRECTORY [MUTATIONS]
 */
#include "base/file.h"
#include "base/hash.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define INPUT_LIMIT ((size_t)1 << 20)
#define MUTATIONS 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t draw(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return hash_mix(*state);
}

static const uint8_t *from(const uint8_t *bytes, size_t size, uint64_t *state)
{
	return bytes + draw(state) % size;
}

/* Changes a copy of the input in one to eight places; may cut it. */
static void run_mutation(const uint8_t *bytes, size_t size, uint64_t *state)
{
	static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
	_cleanup_free_ uint8_t *copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, bytes, size);
	for (uint64_t changes = 1 + draw(state) % 8; changes > 0; changes--) {
		uint8_t *at = copy + draw(state) % size;
		size_t room = (size_t)(copy + size - at), length = 1 + draw(state) % 16;
		switch (draw(state) % 4) {
		case 0:
			*at ^= (uint8_t)(1u << draw(state) % 8);
			break;
		case 1:
			*at = edges[draw(state) % sizeof(edges)];
			break;
		case 2:
			*at = *from(bytes, size, state);
			break;
		case 3:
			memmove(at, copy + draw(state) % (size - room + 1), MIN_OF(room, length));
			break;
		}
	}
	LLVMFuzzerTestOneInput(copy, draw(state) % 8 ? size : draw(state) % size);
}

static int run_file(const char *path, unsigned long mutations)
{
	_cleanup_free_ char *bytes = NULL;
	size_t size;
	int r = read_whole_file(path, INPUT_LIMIT, &bytes, &size);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return r;
	}
	LLVMFuzzerTestOneInput((const uint8_t *)bytes, size);
	uint64_t state = size;
	for (unsigned long i = 0; size && i < mutations; i++)
		run_mutation((const uint8_t *)bytes, size, &state);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	unsigned long mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : MUTATIONS, files = 0;
	DIR *directory = argc > 1 ? opendir(argv[1]) : NULL;
	if (!directory) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY [MUTATIONS]\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(directory))) {
		char path[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		if (run_file(path, mutations) < 0)
			return 1;
		files++;
	}
	closedir(directory);
	printf("%lu files, %lu mutations of each\n", files, mutations);
	return files ? 0 : 1;
}
