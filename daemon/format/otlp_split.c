/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each half is the whole message decoded anew, with what belongs to the other half taken out in place and
 * its dictionary cleaned. Splitting is rare, a second decoding is cheaper than a second kind of tree.
 */
#include "format/otlp.h"

#include "base/hash.h"
#include "format/otlp_renumber.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <string.h>

struct half {
	size_t from, to;   /* of the message's samples, counted through all Profiles */
	bool cut_times;	   /* there is one sample: this half has a half of its times */
	unsigned int part; /* 0 or 1 */
	size_t next;	   /* sample being looked at */
	uint64_t events;   /* in what is kept */
};

static Otlp__ExportProfilesServiceRequest *unpack(const void *bytes, size_t size)
{
	return otlp__export_profiles_service_request__unpack(NULL, size, bytes);
}

static void request_release(Otlp__ExportProfilesServiceRequest **request)
{
	if (*request)
		otlp__export_profiles_service_request__free_unpacked(*request, NULL);
}

static void free_message(void *message)
{
	protobuf_c_message_free_unpacked(message, NULL);
}

/* Same id, same part: same new id. The old one is random, and so is what a bijection makes of it. */
static void change_id(ProtobufCBinaryData *id, unsigned int part)
{
	uint64_t words[2];
	if (id->len != sizeof(words))
		return;
	memcpy(words, id->data, sizeof(words));
	words[0] = hash_mix(words[0] ^ (part + 1) * 0x9e3779b97f4a7c15ULL); /* the golden ratio */
	words[1] = hash_mix(words[1] ^ words[0]);
	words[1] |= !words[0] && !words[1]; /* all zero is no id */
	memcpy(id->data, words, sizeof(words));
}

static bool counts_events(const Otlp__ProfilesDictionary *dictionary, const Otlp__Profile *profile)
{
	int32_t unit = profile->sample_type ? profile->sample_type->unit_strindex : -1;
	if (!dictionary || unit < 0 || (size_t)unit >= dictionary->n_string_table)
		return false;
	const ProtobufCBinaryData *text = &dictionary->string_table[unit];
	return text->len == 5 && memcmp(text->data, "count", 5) == 0;
}

static uint64_t events_of(const Otlp__Sample *sample, bool counts)
{
	uint64_t events = 0;
	if (sample->n_timestamps_unix_nano || !counts)
		return MAX_OF(sample->n_timestamps_unix_nano, (size_t)1);
	for (size_t i = 0; i < sample->n_values; i++)
		if (sample->values[i] > 0 && __builtin_add_overflow(events, (uint64_t)sample->values[i],
								    &events))
			return 1;
	return events;
}

/* The first half of the times, with their values, or the second. */
static void cut_times(Otlp__Sample *sample, unsigned int part)
{
	size_t all = sample->n_timestamps_unix_nano, first = all / 2;
	size_t from = part ? first : 0, count = part ? all - first : first;
	memmove(sample->timestamps_unix_nano, sample->timestamps_unix_nano + from,
		count * sizeof(*sample->timestamps_unix_nano));
	sample->n_timestamps_unix_nano = count;
	if (sample->n_values != all)
		return;
	memmove(sample->values, sample->values + from, count * sizeof(*sample->values));
	sample->n_values = count;
}

/* Leaves the half's samples in a Profile. Returns whether there are any. */
static bool keep_samples(struct half *half, const Otlp__ProfilesDictionary *dictionary,
			 Otlp__Profile *profile)
{
	bool counts = counts_events(dictionary, profile);
	size_t kept = 0, all = profile->n_samples;
	for (size_t i = 0; i < all; i++, half->next++) {
		Otlp__Sample *sample = profile->samples[i];
		if (half->next < half->from || half->next >= half->to) {
			free_message(sample);
			continue;
		}
		if (half->cut_times)
			cut_times(sample, half->part);
		half->events += events_of(sample, counts);
		profile->samples[kept++] = sample;
	}
	profile->n_samples = kept;
	if (!half->cut_times && kept == all)
		return kept > 0;
	change_id(&profile->profile_id, half->part);
	if (half->part == 1)
		profile->n_attribute_indices = 0;
	return kept > 0;
}

static bool keep_scope(struct half *half, const Otlp__ProfilesDictionary *dictionary,
		       Otlp__ScopeProfiles *scope)
{
	size_t kept = 0;
	for (size_t i = 0; i < scope->n_profiles; i++) {
		if (keep_samples(half, dictionary, scope->profiles[i]))
			scope->profiles[kept++] = scope->profiles[i];
		else
			free_message(scope->profiles[i]);
	}
	scope->n_profiles = kept;
	return kept > 0;
}

static bool keep_resource(struct half *half, const Otlp__ProfilesDictionary *dictionary,
			  Otlp__ResourceProfiles *resource)
{
	size_t kept = 0;
	for (size_t i = 0; i < resource->n_scope_profiles; i++) {
		if (keep_scope(half, dictionary, resource->scope_profiles[i]))
			resource->scope_profiles[kept++] = resource->scope_profiles[i];
		else
			free_message(resource->scope_profiles[i]);
	}
	resource->n_scope_profiles = kept;
	return kept > 0;
}

static void keep_half(struct half *half, Otlp__ExportProfilesServiceRequest *request)
{
	size_t kept = 0;
	for (size_t i = 0; i < request->n_resource_profiles; i++) {
		if (keep_resource(half, request->dictionary, request->resource_profiles[i]))
			request->resource_profiles[kept++] = request->resource_profiles[i];
		else
			free_message(request->resource_profiles[i]);
	}
	request->n_resource_profiles = kept;
}

static int pack(const Otlp__ExportProfilesServiceRequest *request, struct text *out)
{
	size_t size = otlp__export_profiles_service_request__get_packed_size(request);
	_cleanup_free_ uint8_t *bytes = malloc(size + 1);
	if (!bytes)
		return -ENOMEM;
	otlp__export_profiles_service_request__pack(request, bytes);
	text_add_bytes(out, bytes, size);
	return out->failed ? -ENOMEM : 0;
}

static int make_half(const void *bytes, size_t size, struct half *half, struct text *out)
{
	_cleanup_(request_release) Otlp__ExportProfilesServiceRequest *request = unpack(bytes, size);
	if (!request)
		return -EBADMSG;
	keep_half(half, request);
	int r = otlp_renumber(request);
	return r < 0 ? r : pack(request, out);
}

/* How many samples there are; of a single one, how many times it has. */
static int count_samples(const void *bytes, size_t size, size_t *ret_samples, size_t *ret_times)
{
	_cleanup_(request_release) Otlp__ExportProfilesServiceRequest *request = unpack(bytes, size);
	if (!request)
		return -EBADMSG;
	*ret_samples = *ret_times = 0;
	for (size_t r = 0; r < request->n_resource_profiles; r++) {
		const Otlp__ResourceProfiles *resource = request->resource_profiles[r];
		for (size_t s = 0; s < resource->n_scope_profiles; s++) {
			const Otlp__ScopeProfiles *scope = resource->scope_profiles[s];
			for (size_t p = 0; p < scope->n_profiles; p++) {
				const Otlp__Profile *profile = scope->profiles[p];
				*ret_samples += profile->n_samples;
				if (profile->n_samples)
					*ret_times = profile->samples[0]->n_timestamps_unix_nano;
			}
		}
	}
	return 0;
}

/* Gives the first half what it counted, where both counted all, and else its share. */
static void share_events(const struct half halves[2], uint64_t samples, struct otlp_half ret[2])
{
	uint64_t all = halves[0].events + halves[1].events;
	ret[0].samples = all == samples ? halves[0].events
					: (uint64_t)((unsigned __int128)samples *
						     halves[0].events / MAX_OF(all, 1u));
	ret[1].samples = samples - ret[0].samples;
}

int otlp_split(const void *bytes, size_t size, uint64_t samples, struct otlp_half ret[2])
{
	size_t count, times;
	int r = count_samples(bytes, size, &count, &times);
	if (r < 0)
		return r;
	if (count == 0 || (count == 1 && times < 2))
		return -E2BIG;
	struct half halves[2] = {{.to = count / 2}, {.from = count / 2, .to = count, .part = 1}};
	if (count == 1) {
		halves[0].to = 1;
		halves[0].cut_times = halves[1].cut_times = true;
	}
	ret[0] = ret[1] = (struct otlp_half){0};
	for (int i = 0; r == 0 && i < 2; i++)
		r = make_half(bytes, size, &halves[i], &ret[i].bytes);
	if (r < 0) {
		text_free(&ret[0].bytes);
		text_free(&ret[1].bytes);
		return r;
	}
	share_events(halves, samples, ret);
	return 0;
}
