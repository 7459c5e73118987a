/* SPDX-License-Identifier: Apache-2.0 */
/* See summary_unnamed.h. */
#include "command/summary_unnamed.h"

#include "command/terminal.h"

#include <string.h>

#define NOTED_PART 20 /* a twentieth of all frames is worth a line */
#define FILES_TOLD 3

struct unnamed_frames {
	uint64_t *of_mapping; /* by index of the mapping: its native frames without a name */
	uint64_t all;	      /* frames of any kind */
};

/* How many looks a sample stands for. */
static uint64_t looks_of(const struct profile *profile, size_t sample, int column)
{
	int64_t count = column < 0 ? 1 : profile->values.items[sample * profile->sample_types.count + (size_t)column];
	return count > 0 ? (uint64_t)count : 0;
}

static void count_location(const struct profile_location *location, uint64_t looks, struct unnamed_frames *frames)
{
	frames->all += looks * MAX_OF(location->line_count, 1u);
	if (location->type == FRAME_TYPE_NATIVE && location->mapping != PROFILE_NONE && !location->line_count)
		frames->of_mapping[location->mapping] += looks;
}

static void count_frames(const struct profile *profile, struct unnamed_frames *frames)
{
	int column = profile_find_sample_type(profile, "samples");
	for (size_t i = 0; i < profile->samples.count; i++) {
		const struct profile_sample *sample = &profile->samples.items[i];
		uint64_t looks = looks_of(profile, i, column);
		for (uint32_t k = 0; k < sample->location_count; k++) {
			uint32_t at = profile->stack_locations.items[sample->first_location + k];
			count_location(&profile->locations.items[at], looks, frames);
		}
	}
}

/* A file has a mapping for each of its segments: all are counted in its first. */
static void join_segments(const struct profile *profile, struct unnamed_frames *frames)
{
	const struct profile_mapping *mappings = profile->mappings.items;
	for (size_t i = 1; i < profile->mappings.count; i++)
		for (size_t k = 0; k < i && frames->of_mapping[i]; k++)
			if (mappings[k].file == mappings[i].file) {
				frames->of_mapping[k] += frames->of_mapping[i];
				frames->of_mapping[i] = 0;
			}
}

static size_t largest(const struct profile *profile, const struct unnamed_frames *frames)
{
	size_t found = 0;
	for (size_t i = 1; i < profile->mappings.count; i++)
		if (frames->of_mapping[i] > frames->of_mapping[found])
			found = i;
	return found;
}

/* "30.1 % in liblzma.so.5.4.1, 5.0 % in git: ": those that make a difference, the largest first. */
static void write_files(const struct profile *profile, struct unnamed_frames *frames, struct text *out)
{
	char share[32];
	int told = 0;
	for (; told < FILES_TOLD; told++) {
		size_t at = largest(profile, frames);
		uint64_t count = frames->of_mapping[at];
		if (!count || count * NOTED_PART < frames->all)
			break;
		const char *path = profile_text(profile, profile->mappings.items[at].file);
		text_add(out, "%s%s in ", told ? ", " : "           ",
			 text_share(share, sizeof(share), (double)count, (double)frames->all));
		text_add_printable(out, text_base_name(path));
		frames->of_mapping[at] = 0;
	}
	if (told)
		text_add(out, ": %s debug symbols have the names; report --by binary\n", told > 1 ? "their" : "its");
}

/* Its path may be known from the kernel; what is in it is not. */
static bool is_unopened(const struct recording_statistics *s, const struct profile *profile, size_t mapping)
{
	const struct profile_mapping *m = &profile->mappings.items[mapping];
	return strcmp(profile_text(profile, m->file), PROFILE_UNKNOWN_FILE) == 0 ||
	       (s->losses.binaries_unopened && !*profile_text(profile, m->htlhash));
}

/* No debug symbols help where the file itself was out of reach. */
static void write_unopened(const struct recording_statistics *s, const struct profile *profile,
			   struct unnamed_frames *frames, struct text *out)
{
	char share[32];
	uint64_t unopened = 0;
	for (size_t i = 0; i < profile->mappings.count; i++) {
		if (!is_unopened(s, profile, i))
			continue;
		unopened += frames->of_mapping[i];
		frames->of_mapping[i] = 0;
	}
	if (unopened && unopened * NOTED_PART >= frames->all)
		text_add(out,
			 "           %s in files that could not be opened: %s\n",
			 text_share(share, sizeof(share), (double)unopened, (double)frames->all),
			 s->in_pid_namespace ? "the process was gone, or is outside this container"
					     : "the process was gone, or other users' need root or CAP_SYS_PTRACE");
}

static void write_unnamed_files(const struct recording_statistics *s, const struct profile *profile, struct text *out)
{
	struct unnamed_frames frames = {.of_mapping = calloc(profile->mappings.count, sizeof(*frames.of_mapping))};
	if (!frames.of_mapping) /* without mappings, or memory: nothing to tell */
		return;
	count_frames(profile, &frames);
	join_segments(profile, &frames);
	write_unopened(s, profile, &frames, out);
	write_files(profile, &frames, out);
	free(frames.of_mapping);
}

/* With --no-symbolize, and where nothing has names, no hint helps. */
static bool has_names(const struct recording_statistics *s)
{
	for (int type = 0; type < FRAME_TYPE_MAX; type++)
		if (type != FRAME_TYPE_MARK && s->frames_of_type[type].unnamed < s->frames_of_type[type].frames)
			return true;
	return false;
}

void summary_write_unnamed(const struct recording_statistics *s, const struct profile *profile, struct text *out)
{
	char share[32];
	uint64_t jit = s->frames_of_type[FRAME_TYPE_JIT].unnamed;
	text_add(out, "unnamed    %s of the frames have no function name\n",
		 text_share(share, sizeof(share), (double)s->frames_unnamed, (double)s->frames));
	if (!has_names(s))
		return;
	if (jit && jit * NOTED_PART >= s->frames)
		text_add(out,
			 "           %s are JIT code; names: node --perf-basic-prof, python3 -X perf, jcmd PID Compiler.perfmap\n",
			 text_share(share, sizeof(share), (double)jit, (double)s->frames));
	if (profile->mappings.count)
		write_unnamed_files(s, profile, out);
}
