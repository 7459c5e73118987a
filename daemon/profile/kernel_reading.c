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

struct kernel_storing *kernel_storing_new(struct artifact_cache *cache, const struct kernel_files *files,
					  struct text *pack)
{
	struct kernel_storing *storing = calloc(1, sizeof(*storing));
	if (!storing)
		return NULL;
	storing->cache = artifact_cache_ref(cache);
	storing->files = *files;
	storing->pack = *pack;
	*pack = (struct text){0};
	return storing;
}

void kernel_storing_run(struct kernel_storing *storing)
{
	storing->error = kernel_symbols_store(storing->cache, &storing->files, &storing->pack, &storing->stored);
	text_free(&storing->pack);
}

void kernel_storing_free(struct kernel_storing *storing)
{
	kernel_symbols_free(&storing->stored);
	artifact_cache_free(storing->cache);
	text_free(&storing->pack);
	free(storing);
}
