/* SPDX-License-Identifier: Apache-2.0 */
#include "format/lifetimes_text.h"

#include "format/site_stack.h"

#include <errno.h>
#include <inttypes.h>

#define STACK_COLUMN 12

static size_t rows_of(const struct lifetimes *lifetimes, size_t rows)
{
	return rows ? MIN_OF(rows, lifetimes->sites.count) : lifetimes->sites.count;
}

/* ---- For people ------------------------------------------------------------------------------ */

static const char *median_text(unsigned class)
{
	static const char *const texts[HEAP_LIFETIMES + 1] = {
		"<1 ms", "<4 ms", "<16 ms", "<64 ms",  "<256 ms", "<1 s",    "<4 s",
		"<16 s", "<66 s", "<4 min", "<17 min", "<70 min", ">70 min", "-",
	};
	return texts[class];
}

static void add_share(struct text *out, double share)
{
	text_add(out, " %7.1f%%", 100 * share);
}

static void add_row(const struct lifetime_site *site, struct text *out)
{
	char size[32];
	text_add(out, "%10s  %7s", text_size(size, sizeof(size), (uint64_t)MAX_OF(site->allocated_bytes, (int64_t)0)),
		 median_text(site->median));
	add_share(out, lifetime_share(site, LIFETIME_MILLISECOND));
	add_share(out, lifetime_share(site, LIFETIME_SECOND));
	add_share(out, lifetime_share(site, LIFETIME_MINUTE));
	add_share(out, site->held);
	add_share(out, site->unseen);
	text_add_char(out, '\n');
}

int lifetimes_text(const struct profile *profile, const struct lifetimes *lifetimes, size_t rows, struct text *out)
{
	char all[32], brief[32];
	text_add(out, "allocated: %s at %zu place%s; freed within a second: %s\n",
		 text_size(all, sizeof(all), (uint64_t)MAX_OF(lifetimes->allocated_bytes, (int64_t)0)),
		 lifetimes->sites.count, lifetimes->sites.count == 1 ? "" : "s",
		 text_size(brief, sizeof(brief), (uint64_t)MAX_OF(lifetimes->brief_bytes, (int64_t)0)));
	text_add_string(out, " allocated   median   in 1 ms   in 1 s  in 1 min     held   unseen\n");
	for (size_t i = 0; i < rows_of(lifetimes, rows); i++) {
		add_row(&lifetimes->sites.items[i], out);
		site_stack_text(profile, lifetimes->sites.items[i].sample, STACK_COLUMN, out);
	}
	size_t rest = lifetimes->sites.count - rows_of(lifetimes, rows);
	if (rest)
		text_add(out, "… and %zu more place%s (-n 0 shows all)\n", rest, rest == 1 ? "" : "s");
	return out->failed ? -ENOMEM : 0;
}

/* ---- For programs ---------------------------------------------------------------------------- */

static void add_classes(struct text *out, const char *name, const int64_t values[static HEAP_LIFETIMES])
{
	text_add(out, ",\"%s\":[", name);
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++)
		text_add(out, "%s%" PRId64, i ? "," : "", values[i]);
	text_add_char(out, ']');
}

static void add_bounds(struct text *out)
{
	text_add_string(out, ",\"bounds_ms\":[");
	for (unsigned i = 0; i < HEAP_LIFETIMES - 1; i++)
		text_add(out, "%" PRIu64 ",", lifetime_bound_ms(i));
	text_add_string(out, "null]");
}

static void add_site(const struct profile *profile, const struct lifetime_site *site, struct text *out)
{
	text_add(out,
		 "{\"allocated_objects\":%" PRId64 ",\"allocated_bytes\":%" PRId64 ",\"held_objects\":%" PRId64
		 ",\"held_bytes\":%" PRId64 ",\"watched_samples\":%" PRId64 ",\"median_below_ms\":",
		 site->allocated_objects, site->allocated_bytes, site->held_objects, site->held_bytes, site->watched);
	if (site->median < HEAP_LIFETIMES - 1)
		text_add(out, "%" PRIu64, lifetime_bound_ms(site->median));
	else
		text_add_string(out, "null");
	text_add(out,
		 ",\"within_millisecond\":%.6g,\"within_second\":%.6g,\"within_minute\":%.6g,\"held\":%.6g"
		 ",\"unseen\":%.6g",
		 lifetime_share(site, LIFETIME_MILLISECOND), lifetime_share(site, LIFETIME_SECOND),
		 lifetime_share(site, LIFETIME_MINUTE), site->held, site->unseen);
	add_classes(out, "freed_objects", site->freed_objects);
	add_classes(out, "freed_bytes", site->freed_bytes);
	text_add_string(out, ",\"stack\":[");
	site_stack_json(profile, site->sample, out);
	text_add_string(out, "]}");
}

int lifetimes_json(const struct profile *profile, const struct lifetimes *lifetimes, size_t rows, struct text *out)
{
	text_add(out, "{\"allocated_bytes\":%" PRId64 ",\"freed_within_second_bytes\":%" PRId64,
		 lifetimes->allocated_bytes, lifetimes->brief_bytes);
	add_bounds(out);
	text_add_string(out, ",\"sites\":[");
	for (size_t i = 0; i < rows_of(lifetimes, rows); i++) {
		text_add_string(out, i ? ",\n" : "\n");
		add_site(profile, &lifetimes->sites.items[i], out);
	}
	text_add_string(out, "\n]}\n");
	return out->failed ? -ENOMEM : 0;
}
