/* SPDX-License-Identifier: Apache-2.0 */
/* See leaks_text.h. */
#include "format/leaks_text.h"

#include "base/arithmetic.h"
#include "format/site_stack.h"

#include <errno.h>
#include <inttypes.h>

#define STACK_COLUMN 36

static size_t rows_of(const struct leaks *leaks, size_t rows)
{
	return rows ? MIN_OF(rows, leaks->sites.count) : leaks->sites.count;
}

/* Windows see what is allocated in them: how much is held is judged by that. */
static void add_estimated(const struct leaks *leaks, struct text *out)
{
	char kept[32], least[32];
	if (leaks->estimated_bytes > 0)
		text_add(out, "estimated: %s to %s more, of programs that were seen in windows\n",
			 text_size(least, sizeof(least), (uint64_t)leaks->least_bytes),
			 text_size(kept, sizeof(kept), (uint64_t)leaks->estimated_bytes));
}

static void add_count(const struct leak_site *site, struct text *out)
{
	if (site->kept_objects > 0)
		text_add(out, "%" PRId64 " of %" PRId64 " objects", site->kept_objects,
			 MAX_OF(site->allocated_objects, site->kept_objects));
	if (site->kept_objects > 0 && site->watched > 0)
		text_add_string(out, ", ");
	if (site->watched > 0)
		text_add(out, "%" PRId64 " of %" PRId64 " samples", site->outlived,
			 MAX_OF(site->watched, site->outlived));
	if (site->is_certain)
		text_add_string(out, ", certain");
	text_add_char(out, '\n');
}

static void add_size(struct text *out, int64_t bytes)
{
	char size[32];
	text_add(out, "%10s ", text_size(size, sizeof(size), (uint64_t)bytes));
}

static void add_row(const struct leaks *leaks, const struct leak_site *site, struct text *out)
{
	double all = (double)leaks->kept_bytes + (double)leaks->estimated_bytes;
	int64_t kept = add_saturating(site->kept_bytes, site->estimated_bytes);
	add_size(out, kept);
	text_add(out, "%5.1f%% ", 100.0 * (double)kept / all);
	add_size(out, add_saturating(site->kept_bytes, site->least_bytes));
	text_add(out, "%7.1f%%  %6.1f%%  ", 100 * site->survival, 100 * site->survival_low);
	add_count(site, out);
}

int leaks_text(const struct profile *profile, const struct leaks *leaks, size_t rows, struct text *out)
{
	char size[32];
	text_add(out, "kept: %s in %" PRId64 " object%s from %zu place%s\n",
		 text_size(size, sizeof(size), (uint64_t)leaks->kept_bytes), leaks->kept_objects,
		 leaks->kept_objects == 1 ? "" : "s", leaks->sites.count, leaks->sites.count == 1 ? "" : "s");
	add_estimated(leaks, out);
	if (!leaks->sites.count) {
		text_add_string(out, "Of what was seen allocated in this time nothing was in use at its end. Memory that was there "
				     "before is not seen;\nwindows see a part (--heap-budget, --exact: more); -e growth sees all "
				     "that comes, whatever allocates it.\n");
		return out->failed ? -ENOMEM : 0;
	}
	text_add_string(out, "      kept          at least survives  at least\n");
	for (size_t i = 0; i < rows_of(leaks, rows); i++) {
		const struct leak_site *site = &leaks->sites.items[i];
		add_row(leaks, site, out);
		site_stack_text(profile, site->sample, STACK_COLUMN, out);
	}
	size_t rest = leaks->sites.count - rows_of(leaks, rows);
	if (rest)
		text_add(out, "… and %zu more place%s (-n 0 shows all)\n", rest, rest == 1 ? "" : "s");
	return out->failed ? -ENOMEM : 0;
}

int leaks_json(const struct profile *profile, const struct leaks *leaks, size_t rows, struct text *out)
{
	text_add(out,
		 "{\"kept_bytes\":%" PRId64 ",\"kept_objects\":%" PRId64 ",\"estimated_bytes\":%" PRId64
		 ",\"least_bytes\":%" PRId64 ",\"sites\":[",
		 leaks->kept_bytes, leaks->kept_objects, leaks->estimated_bytes, leaks->least_bytes);
	for (size_t i = 0; i < rows_of(leaks, rows); i++) {
		const struct leak_site *site = &leaks->sites.items[i];
		text_add(out,
			 "%s{\"kept_bytes\":%" PRId64 ",\"kept_objects\":%" PRId64
			 ",\"allocated_bytes\":%" PRId64 ",\"allocated_objects\":%" PRId64
			 ",\"estimated_bytes\":%" PRId64 ",\"least_bytes\":%" PRId64
			 ",\"watched_samples\":%" PRId64 ",\"outlived_samples\":%" PRId64
			 ",\"survival\":%.6g,\"survival_low\":%.6g,\"is_certain\":%s,\"stack\":[",
			 i ? ",\n" : "\n", site->kept_bytes, site->kept_objects,
			 site->allocated_bytes, site->allocated_objects, site->estimated_bytes,
			 site->least_bytes, site->watched, site->outlived, site->survival,
			 site->survival_low, site->is_certain ? "true" : "false");
		site_stack_json(profile, site->sample, out);
		text_add_string(out, "]}");
	}
	text_add_string(out, "\n]}\n");
	return out->failed ? -ENOMEM : 0;
}
