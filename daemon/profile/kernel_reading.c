/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_reading.h. */
#include "profile/kernel_reading.h"

#include "collect/bpf_symbols.h"

static bool all_are_covered(const struct kernel_reading *reading)
{
	for (size_t i = 0; i < reading->addresses.count; i++)
		if (!generated_code_covers(&reading->code, reading->addresses.items[i]))
			return false;
	return true;
}

/* Programs are known better by now. */
static void on_generated(void *userdata, uint64_t start, uint64_t size, const char *name)
{
	struct kernel_reading *reading = userdata;
	if (!generated_code_covers(&reading->code, start))
		generated_code_add(&reading->code, start, size, name, 0);
}

void kernel_reading_run(struct kernel_reading *reading)
{
	bpf_symbols_read(&reading->code, &reading->last_program);
	reading->was_whole = reading->whole || (reading->may_be_whole && !all_are_covered(reading));
	if (!reading->was_whole)
		return;
	reading->error = kernel_symbols_load(reading->files.kallsyms, &reading->symbols);
	if (reading->error < 0)
		return;
	kernel_symbols_take_generated(&reading->symbols, on_generated, reading);
	if (reading->packed && kernel_symbols_pack(&reading->symbols, &reading->pack) < 0)
		text_free(&reading->pack);
}

void kernel_reading_free(struct kernel_reading *reading)
{
	if (!reading)
		return;
	array_free(&reading->addresses);
	generated_code_free(&reading->code);
	kernel_symbols_free(&reading->symbols);
	text_free(&reading->pack);
	free(reading);
}

struct kernel_entry *kernel_entry_new(struct artifact_cache *cache, const struct kernel_files *files)
{
	struct kernel_entry *entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->cache = artifact_cache_ref(cache);
	entry->files = *files;
	return entry;
}

void kernel_entry_open(struct kernel_entry *entry)
{
	entry->error = kernel_symbols_open(entry->cache, &entry->files, &entry->symbols);
}

void kernel_entry_store(struct kernel_entry *entry)
{
	entry->error = kernel_symbols_store(entry->cache, &entry->files, &entry->pack, &entry->symbols);
	text_free(&entry->pack);
}

void kernel_entry_free(struct kernel_entry *entry)
{
	kernel_symbols_free(&entry->symbols);
	artifact_cache_free(entry->cache);
	text_free(&entry->pack);
	free(entry);
}
