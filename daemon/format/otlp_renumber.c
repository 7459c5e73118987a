/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See otlp_renumber.h. References lead from samples to stacks, locations, mappings and functions,
 * attributes, strings: in this order tables are marked, and after that every index is looked up in the map
 * of its table.
 */
#include "format/otlp_renumber.h"

#include "otlp.pb-c.h"

#include <errno.h>
#include <string.h>

/* Of a table: is the entry used, and later its new index. */
struct index_map {
	uint32_t *items;
	size_t count;
};

struct maps {
	struct index_map mappings, locations, functions, links, strings, attributes, stacks;
	bool bad; /* an index was out of range */
};

#define UNUSED UINT32_MAX

static int map_init(struct index_map *map, size_t count)
{
	map->items = malloc((count + 1) * sizeof(*map->items));
	if (!map->items)
		return -ENOMEM;
	map->count = count;
	memset(map->items, 0xff, count * sizeof(*map->items));
	if (count)
		map->items[0] = 0;
	return 0;
}

static void maps_release(struct maps *maps)
{
	free(maps->mappings.items);
	free(maps->locations.items);
	free(maps->functions.items);
	free(maps->links.items);
	free(maps->strings.items);
	free(maps->attributes.items);
	free(maps->stacks.items);
}

static int maps_init(struct maps *maps, const Otlp__ProfilesDictionary *d)
{
	int r = map_init(&maps->mappings, d->n_mapping_table);
	r = r < 0 ? r : map_init(&maps->locations, d->n_location_table);
	r = r < 0 ? r : map_init(&maps->functions, d->n_function_table);
	r = r < 0 ? r : map_init(&maps->links, d->n_link_table);
	r = r < 0 ? r : map_init(&maps->strings, d->n_string_table);
	r = r < 0 ? r : map_init(&maps->attributes, d->n_attribute_table);
	return r < 0 ? r : map_init(&maps->stacks, d->n_stack_table);
}

static bool is_used(const struct index_map *map, size_t index)
{
	return map->items[index] != UNUSED;
}

/* ---- One visit of every index, first to mark, then to change ---------------------------------- */

typedef void (*index_visitor)(struct maps *maps, struct index_map *map, int32_t *index);

static void mark(struct maps *maps, struct index_map *map, int32_t *index)
{
	if (*index < 0 || (size_t)*index >= map->count)
		maps->bad = true;
	else
		map->items[*index] = 0;
}

static void change(struct maps *maps, struct index_map *map, int32_t *index)
{
	*index = (int32_t)map->items[*index];
}

static void visit_list(struct maps *maps, struct index_map *map, int32_t *indices, size_t count,
		       index_visitor visit)
{
	for (size_t i = 0; i < count; i++)
		visit(maps, map, &indices[i]);
}

static void visit_value_type(struct maps *maps, Otlp__ValueType *type, index_visitor visit)
{
	if (!type)
		return;
	visit(maps, &maps->strings, &type->type_strindex);
	visit(maps, &maps->strings, &type->unit_strindex);
}

static void visit_profile(struct maps *maps, Otlp__Profile *profile, index_visitor visit)
{
	visit_value_type(maps, profile->sample_type, visit);
	visit_value_type(maps, profile->period_type, visit);
	visit_list(maps, &maps->attributes, profile->attribute_indices,
		   profile->n_attribute_indices, visit);
	for (size_t i = 0; i < profile->n_samples; i++) {
		Otlp__Sample *sample = profile->samples[i];
		visit(maps, &maps->stacks, &sample->stack_index);
		visit(maps, &maps->links, &sample->link_index);
		visit_list(maps, &maps->attributes, sample->attribute_indices,
			   sample->n_attribute_indices, visit);
	}
}

static void visit_profiles(struct maps *maps, Otlp__ExportProfilesServiceRequest *request,
			   index_visitor visit)
{
	for (size_t r = 0; r < request->n_resource_profiles; r++) {
		Otlp__ResourceProfiles *resource = request->resource_profiles[r];
		for (size_t s = 0; s < resource->n_scope_profiles; s++)
			for (size_t p = 0; p < resource->scope_profiles[s]->n_profiles; p++)
				visit_profile(maps, resource->scope_profiles[s]->profiles[p], visit);
	}
}

static void visit_location(struct maps *maps, Otlp__Location *location, index_visitor visit)
{
	visit(maps, &maps->mappings, &location->mapping_index);
	visit_list(maps, &maps->attributes, location->attribute_indices,
		   location->n_attribute_indices, visit);
	for (size_t i = 0; i < location->n_lines; i++)
		visit(maps, &maps->functions, &location->lines[i]->function_index);
}

/* The entries in use, table after table: each table's users come before it. */
static void visit_tables(struct maps *maps, Otlp__ProfilesDictionary *d, index_visitor visit)
{
	for (size_t i = 0; i < d->n_stack_table; i++)
		if (is_used(&maps->stacks, i))
			visit_list(maps, &maps->locations, d->stack_table[i]->location_indices,
				   d->stack_table[i]->n_location_indices, visit);
	for (size_t i = 0; i < d->n_location_table; i++)
		if (is_used(&maps->locations, i))
			visit_location(maps, d->location_table[i], visit);
	for (size_t i = 0; i < d->n_mapping_table; i++) {
		if (!is_used(&maps->mappings, i))
			continue;
		visit(maps, &maps->strings, &d->mapping_table[i]->filename_strindex);
		visit_list(maps, &maps->attributes, d->mapping_table[i]->attribute_indices,
			   d->mapping_table[i]->n_attribute_indices, visit);
	}
	for (size_t i = 0; i < d->n_function_table; i++) {
		if (!is_used(&maps->functions, i))
			continue;
		visit(maps, &maps->strings, &d->function_table[i]->name_strindex);
		visit(maps, &maps->strings, &d->function_table[i]->system_name_strindex);
		visit(maps, &maps->strings, &d->function_table[i]->filename_strindex);
	}
	for (size_t i = 0; i < d->n_attribute_table; i++) {
		if (!is_used(&maps->attributes, i))
			continue;
		visit(maps, &maps->strings, &d->attribute_table[i]->key_strindex);
		visit(maps, &maps->strings, &d->attribute_table[i]->unit_strindex);
	}
}

/* ---- Moving together -------------------------------------------------------------------------- */

static void number(struct index_map *map)
{
	uint32_t next = 0;
	for (size_t i = 0; i < map->count; i++)
		if (is_used(map, i))
			map->items[i] = next++;
}

static void number_all(struct maps *maps)
{
	number(&maps->mappings);
	number(&maps->locations);
	number(&maps->functions);
	number(&maps->links);
	number(&maps->strings);
	number(&maps->attributes);
	number(&maps->stacks);
}

/* Messages of a table are pointers that protobuf-c allocated. */
static size_t compact(const struct index_map *map, void *table)
{
	ProtobufCMessage **messages = table;
	size_t kept = 0;
	for (size_t i = 0; i < map->count; i++) {
		if (is_used(map, i))
			messages[kept++] = messages[i];
		else
			protobuf_c_message_free_unpacked(messages[i], NULL);
	}
	return kept;
}

static size_t compact_strings(const struct index_map *map, ProtobufCBinaryData *strings)
{
	size_t kept = 0;
	for (size_t i = 0; i < map->count; i++) {
		if (is_used(map, i))
			strings[kept++] = strings[i];
		else
			free(strings[i].data);
	}
	return kept;
}

int otlp_renumber(Otlp__ExportProfilesServiceRequest *request)
{
	Otlp__ProfilesDictionary *d = request->dictionary;
	_cleanup_(maps_release) struct maps maps = {0};
	if (!d)
		return -EBADMSG;
	if (maps_init(&maps, d) < 0)
		return -ENOMEM;
	visit_profiles(&maps, request, mark);
	visit_tables(&maps, d, mark);
	if (maps.bad)
		return -EBADMSG;
	number_all(&maps);
	visit_profiles(&maps, request, change);
	visit_tables(&maps, d, change);
	d->n_mapping_table = compact(&maps.mappings, d->mapping_table);
	d->n_location_table = compact(&maps.locations, d->location_table);
	d->n_function_table = compact(&maps.functions, d->function_table);
	d->n_link_table = compact(&maps.links, d->link_table);
	d->n_attribute_table = compact(&maps.attributes, d->attribute_table);
	d->n_stack_table = compact(&maps.stacks, d->stack_table);
	d->n_string_table = compact_strings(&maps.strings, d->string_table);
	return 0;
}
