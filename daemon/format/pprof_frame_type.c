/* SPDX-License-Identifier: Apache-2.0 */
/* See pprof_frame_type.h. Each mapping is judged once. */
#include "format/pprof_frame_type.h"

#include <errno.h>
#include <string.h>

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
	size_t length = strlen(text), tail = strlen(with);
	return length >= tail && !strcmp(text + length - tail, with);
}

static enum frame_type type_of_mapping(const char *file)
{
	static const char *const jit[] = {"[anon", "//anon", "[jit", "/memfd:", "/tmp/perf-",
					  "anon_inode:"};
	if (begins(file, "[kernel") || begins(file, "[guest.kernel") || begins(file, "[bpf") ||
	    ends(file, ".ko") || ends(file, "/vmlinux"))
		return FRAME_TYPE_KERNEL;
	for (size_t i = 0; i < ARRAY_LENGTH(jit); i++)
		if (begins(file, jit[i]))
			return FRAME_TYPE_JIT;
	return FRAME_TYPE_NATIVE;
}

static enum frame_type type_of_source(const char *file)
{
	static const char *const interpreted[] = {".py", ".rb", ".php", ".pl", ".pm", ".js", ".lua"};
	if (ends(file, ".go"))
		return FRAME_TYPE_GO;
	for (size_t i = 0; i < ARRAY_LENGTH(interpreted); i++)
		if (ends(file, interpreted[i]))
			return FRAME_TYPE_INTERPRETER;
	return FRAME_TYPE_NATIVE;
}

static enum frame_type type_of_location(const struct profile *profile,
					const struct profile_location *location,
					const uint8_t *of_mapping)
{
	if (location->mapping != PROFILE_NONE && of_mapping[location->mapping] != FRAME_TYPE_NATIVE)
		return of_mapping[location->mapping];
	if (location->line_count == 0)
		return FRAME_TYPE_NATIVE;
	uint32_t index = profile->lines.items[location->first_line].function;
	if (index == PROFILE_NONE)
		return FRAME_TYPE_NATIVE;
	const struct profile_function *function = &profile->functions.items[index];
	if (location->mapping == PROFILE_NONE && location->address == 0 &&
	    begins(profile_text(profile, function->name), "["))
		return FRAME_TYPE_MARK;
	return type_of_source(profile_text(profile, function->file));
}

int pprof_guess_frame_types(struct profile *profile)
{
	_cleanup_free_ uint8_t *of_mapping = calloc(profile->mappings.count + 1, 1);
	if (!of_mapping)
		return -ENOMEM;
	for (size_t i = 0; i < profile->mappings.count; i++)
		of_mapping[i] = (uint8_t)type_of_mapping(
			profile_text(profile, profile->mappings.items[i].file));
	for (size_t i = 0; i < profile->locations.count; i++) {
		struct profile_location *location = &profile->locations.items[i];
		location->type = type_of_location(profile, location, of_mapping);
	}
	return 0;
}
