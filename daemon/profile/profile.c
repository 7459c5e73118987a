/* SPDX-License-Identifier: Apache-2.0 */
/* Life and validity of a profile. See profile.h for the model. */
#include "profile/profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int profile_new(struct profile **ret)
{
	_cleanup_profile_ struct profile *profile = calloc(1, sizeof(*profile));
	uint32_t empty;
	if (!profile || strings_add(&profile->strings, "", 0, &empty) < 0)
		return -ENOMEM;
	*ret = take_pointer(profile);
	return 0;
}

struct profile *profile_free(struct profile *profile)
{
	if (!profile)
		return NULL;
	strings_free(&profile->strings);
	array_free(&profile->sample_types);
	array_free(&profile->mappings);
	array_free(&profile->functions);
	array_free(&profile->lines);
	array_free(&profile->locations);
	array_free(&profile->stack_locations);
	array_free(&profile->labels);
	array_free(&profile->samples);
	array_free(&profile->values);
	array_free(&profile->resources);
	array_free(&profile->resource_attributes);
	array_free(&profile->host_attributes);
	array_free(&profile->links);
	array_free(&profile->timestamps);
	array_free(&profile->comments);
	free(profile);
	return NULL;
}

uint32_t profile_string(struct profile *profile, const char *text, bool *failed)
{
	uint32_t index = 0;
	if (strings_add_text(&profile->strings, text, &index) < 0)
		*failed = true;
	return index;
}

const char *profile_text(const struct profile *profile, uint32_t string)
{
	return strings_get(&profile->strings, string);
}

int profile_find_sample_type(const struct profile *profile, const char *type)
{
	for (size_t i = 0; i < profile->sample_types.count; i++)
		if (!strcmp(profile_text(profile, profile->sample_types.items[i].type), type))
			return (int)i;
	return -1;
}

size_t profile_default_value(const struct profile *profile)
{
	for (size_t i = 0; i < profile->sample_types.count; i++)
		if (profile->default_sample_type &&
		    profile->sample_types.items[i].type == profile->default_sample_type)
			return i;
	return profile->sample_types.count ? profile->sample_types.count - 1 : 0;
}

/* Does [first, first + count) lie inside an array of `size` items? */
static bool range_is_inside(uint32_t first, uint32_t count, size_t size)
{
	return (uint64_t)first + count <= size;
}

static bool index_is_inside(uint32_t index, size_t size)
{
	return index == PROFILE_NONE || index < size;
}

static bool header_is_sound(const struct profile *profile)
{
	size_t strings = profile->strings.count;
	for (size_t i = 0; i < profile->sample_types.count; i++)
		if (profile->sample_types.items[i].type >= strings ||
		    profile->sample_types.items[i].unit >= strings)
			return false;
	for (size_t i = 0; i < profile->comments.count; i++)
		if (profile->comments.items[i] >= strings)
			return false;
	return profile->period_type.type < strings && profile->period_type.unit < strings &&
	       profile->default_sample_type < strings && profile->drop_frames < strings &&
	       profile->keep_frames < strings && profile->doc_url < strings;
}

static bool tables_are_sound(const struct profile *profile)
{
	size_t strings = profile->strings.count;
	for (size_t i = 0; i < profile->mappings.count; i++)
		if (profile->mappings.items[i].file >= strings ||
		    profile->mappings.items[i].build_id >= strings ||
		    profile->mappings.items[i].go_build_id >= strings ||
		    profile->mappings.items[i].htlhash >= strings)
			return false;
	for (size_t i = 0; i < profile->functions.count; i++) {
		const struct profile_function *function = &profile->functions.items[i];
		if (function->name >= strings || function->system_name >= strings ||
		    function->file >= strings)
			return false;
	}
	for (size_t i = 0; i < profile->lines.count; i++)
		if (!index_is_inside(profile->lines.items[i].function, profile->functions.count))
			return false;
	for (size_t i = 0; i < profile->locations.count; i++) {
		const struct profile_location *location = &profile->locations.items[i];
		if (!index_is_inside(location->mapping, profile->mappings.count) ||
		    !range_is_inside(location->first_line, location->line_count,
				     profile->lines.count) ||
		    (unsigned)location->type >= FRAME_TYPE_MAX)
			return false;
	}
	return true;
}

static bool labels_are_sound(const struct profile *profile, const struct profile_label *labels,
			     size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (labels[i].key >= profile->strings.count ||
		    labels[i].text >= profile->strings.count ||
		    labels[i].unit >= profile->strings.count)
			return false;
	return true;
}

static bool resources_are_sound(const struct profile *profile)
{
	for (size_t i = 0; i < profile->resources.count; i++)
		if (!range_is_inside(profile->resources.items[i].first_attribute,
				     profile->resources.items[i].attribute_count,
				     profile->resource_attributes.count))
			return false;
	return labels_are_sound(profile, profile->resource_attributes.items,
				profile->resource_attributes.count) &&
	       labels_are_sound(profile, profile->host_attributes.items,
				profile->host_attributes.count);
}

static bool samples_are_sound(const struct profile *profile)
{
	size_t values;
	if (__builtin_mul_overflow(profile->samples.count, profile->sample_types.count, &values) ||
	    values != profile->values.count)
		return false;
	for (size_t i = 0; i < profile->stack_locations.count; i++)
		if (profile->stack_locations.items[i] >= profile->locations.count)
			return false;
	if (!labels_are_sound(profile, profile->labels.items, profile->labels.count))
		return false;
	for (size_t i = 0; i < profile->samples.count; i++) {
		const struct profile_sample *sample = &profile->samples.items[i];
		if (!range_is_inside(sample->first_location, sample->location_count,
				     profile->stack_locations.count) ||
		    !range_is_inside(sample->first_label, sample->label_count,
				     profile->labels.count) ||
		    !range_is_inside(sample->first_timestamp, sample->timestamp_count,
				     profile->timestamps.count) ||
		    sample->resource > profile->resources.count ||
		    sample->link > profile->links.count)
			return false;
	}
	return true;
}

int profile_check(const struct profile *profile)
{
	bool sound = profile->strings.count > 0 && strings_length(&profile->strings, 0) == 0 &&
		     header_is_sound(profile) && tables_are_sound(profile) &&
		     resources_are_sound(profile) &&
		     samples_are_sound(profile);
	return sound ? 0 : -EBADMSG;
}

/* "[libc.so.6+0x1234]", "[vdso+0x1234]"; the brackets of a pseudo file are not doubled. */
static const char *address_name(const struct profile *profile,
				const struct profile_location *location, char *buffer, size_t size)
{
	const char *file = "";
	if (location->mapping != PROFILE_NONE)
		file = profile_text(profile, profile->mappings.items[location->mapping].file);
	const char *slash = strrchr(file, '/');
	if (slash && slash[1])
		file = slash + 1;
	if (!*file)
		file = "unknown";
	size_t length = strlen(file);
	if (length > 2 && file[0] == '[' && file[length - 1] == ']') {
		file++;
		length -= 2;
	}
	snprintf(buffer, size, "[%.*s+0x%llx]", (int)MIN_OF(length, size), file,
		 (unsigned long long)location->address);
	return buffer;
}

const char *profile_frame_name(const struct profile *profile,
			       const struct profile_location *location, uint32_t line, char *buffer,
			       size_t size)
{
	if (line < location->line_count) {
		uint32_t index = profile->lines.items[location->first_line + line].function;
		if (index != PROFILE_NONE) {
			const struct profile_function *function = &profile->functions.items[index];
			const char *name = profile_text(profile, function->name);
			if (!*name)
				name = profile_text(profile, function->system_name);
			if (*name)
				return name;
		}
	}
	return address_name(profile, location, buffer, size);
}

const char *profile_plain_name(const struct profile *profile, const struct profile_location *location, char *buffer,
			       size_t size)
{
	const char *name = profile_frame_name(profile, location, 0, buffer, size);
	char *plus = name == buffer ? strrchr(buffer, '+') : NULL;
	if (plus)
		memcpy(plus, "]", sizeof("]"));
	return name;
}

const char *frame_type_word(enum frame_type type)
{
	static const char *const names[FRAME_TYPE_MAX] = {
		[FRAME_TYPE_NATIVE] = "native",
		[FRAME_TYPE_KERNEL] = "kernel",
		[FRAME_TYPE_JIT] = "jit",
		[FRAME_TYPE_INTERPRETER] = "interpreter",
		[FRAME_TYPE_GO] = "go",
		[FRAME_TYPE_MARK] = "mark",
	};
	return names[type];
}
