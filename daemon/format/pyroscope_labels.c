/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which labels a series has. Of two of one name the first stays, so they come in the order of who knows
 * best: the operator, the process and its container, what was set for the whole host, the host.
 */
#include "format/pyroscope_labels.h"

#include "format/otlp_encoder.h"
#include "format/wire_writer.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_LABELS 30	    /* Pyroscope refuses a series with more */
#define MAX_VALUE_BYTES 2048 /* and longer values */
#define MAX_NAME_BYTES 128
#define UNKNOWN_SERVICE "unknown_service"
#define HOST_SERVICE "bolometer"
#define PROGRAM "process.executable.name"

enum {
	SERIES_LABELS = 1, /* RawProfileSeries */
	LABEL_NAME = 1,	   /* LabelPair */
	LABEL_VALUE = 2,
};

struct label_writer {
	const struct profile *profile;
	const struct pyroscope_options *options;
	char names[MAX_LABELS][MAX_NAME_BYTES]; /* written so far */
	size_t count;
	bool has_container;
	bool in_resource; /* what is looked at belongs to the resource, not to one sample */
	char program[MAX_NAME_BYTES]; /* the executable's name; "": not known */
	struct text *out;
};

static bool has_name(const struct label_writer *w, const char *name)
{
	for (size_t i = 0; i < w->count; i++)
		if (!strcmp(w->names[i], name))
			return true;
	return false;
}

/* "k8s.pod.name" is "k8s_pod_name": older versions refuse other characters. */
static void make_name(const char *key, char name[MAX_NAME_BYTES])
{
	size_t length = 0;
	if (isdigit((unsigned char)*key))
		name[length++] = '_';
	for (; *key && length < MAX_NAME_BYTES - 1; key++)
		name[length++] = isalnum((unsigned char)*key) ? *key : '_';
	name[length] = '\0';
}

static void write_label(struct label_writer *w, const char *name, const char *value)
{
	struct text valid = {0}, pair = {0};
	if (!*value || w->count == MAX_LABELS || has_name(w, name))
		return;
	text_add_utf8(&valid, value, strnlen(value, MAX_VALUE_BYTES));
	/* A character cut in two has become longer than it was. */
	if (valid.length > MAX_VALUE_BYTES) {
		valid.length = 0;
		text_add_utf8(&valid, value, MAX_VALUE_BYTES / 3);
	}
	wire_put_bytes(&pair, LABEL_NAME, name, strlen(name));
	wire_put_text(&pair, LABEL_VALUE, &valid);
	wire_put_text(w->out, SERIES_LABELS, &pair);
	snprintf(w->names[w->count++], MAX_NAME_BYTES, "%s", name);
	text_free(&valid);
	text_free(&pair);
}

static void write_attribute(struct label_writer *w, const char *key, const char *text, int64_t number)
{
	char name[MAX_NAME_BYTES], digits[24];
	make_name(key, name);
	snprintf(digits, sizeof(digits), "%lld", (long long)number);
	write_label(w, name, text ? text : digits);
}

/* Of a kernel's thread without its number: "kworker/0:1H" is one of hundreds. A file's name has no slash. */
static void copy_program(const char *name, char program[MAX_NAME_BYTES])
{
	snprintf(program, MAX_NAME_BYTES, "%.*s", (int)strcspn(name, "/"), name);
}

static bool is_configured(const struct label_writer *w, const char *key)
{
	for (size_t i = 0; i < w->options->attribute_count; i++)
		if (!strcmp(w->options->attributes[i].key, key))
			return true;
	return false;
}

/* Does an attribute of this key tell series apart? */
static bool is_wanted(const struct label_writer *w, const char *key)
{
	enum otlp_grouping grouping = w->options->grouping;
	switch (otlp_class_of_key(key)) {
	case OTLP_KEY_PROCESS:
		return grouping == OTLP_BY_PROCESS;
	case OTLP_KEY_EXECUTABLE_NAME:
		return grouping == OTLP_BY_PROCESS ||
		       (grouping == OTLP_BY_CONTAINER && !w->has_container);
	case OTLP_KEY_CONTAINER:
		return grouping != OTLP_BY_HOST;
	case OTLP_KEY_THREAD_NAME:
		return w->options->thread_names;
	case OTLP_KEY_OTHER: /* what a process declares of itself */
		return w->in_resource && grouping != OTLP_BY_HOST;
	default:
		return false;
	}
}

static void visit(struct label_writer *w, const struct profile_label *labels, size_t count,
		  void (*each)(struct label_writer *w, const struct profile_label *label))
{
	for (size_t i = 0; i < count; i++)
		each(w, &labels[i]);
}

/* What the resource says, then what the sample says of itself. */
static void visit_sample(struct label_writer *w, const struct profile_sample *sample,
			 void (*each)(struct label_writer *w, const struct profile_label *label))
{
	const struct profile *profile = w->profile;
	if (sample->resource) {
		const struct profile_resource *resource =
			&profile->resources.items[sample->resource - 1];
		w->in_resource = true;
		visit(w, profile->resource_attributes.items + resource->first_attribute,
		      resource->attribute_count, each);
	}
	w->in_resource = false;
	visit(w, profile->labels.items + sample->first_label, sample->label_count, each);
}

static void look_at(struct label_writer *w, const struct profile_label *label)
{
	const char *key = profile_text(w->profile, label->key);
	if (!strcmp(key, "container.id"))
		w->has_container = true;
	else if (!strcmp(key, PROGRAM) && label->text)
		copy_program(profile_text(w->profile, label->text), w->program);
}

static void write_found(struct label_writer *w, const struct profile_label *label)
{
	const char *key = profile_text(w->profile, label->key);
	/* What was only guessed gives way to what an operator configured. */
	if (!is_wanted(w, key) || (label->is_guess && is_configured(w, key)))
		return;
	if (!strcmp(key, PROGRAM))
		write_attribute(w, key, w->program, 0);
	else
		write_attribute(w, key, label->text ? profile_text(w->profile, label->text) : NULL,
				label->number);
}

static void write_host_name(struct label_writer *w, const struct profile_label *label)
{
	const char *key = profile_text(w->profile, label->key);
	if (label->text && !strcmp(key, "host.name"))
		write_attribute(w, key, profile_text(w->profile, label->text), 0);
}

/* What the conventions say when nothing tells a service's name. */
static void write_unknown_service(struct label_writer *w)
{
	char name[256] = HOST_SERVICE;
	bool is_one = *w->program && is_wanted(w, PROGRAM);
	if (w->options->grouping != OTLP_BY_HOST)
		snprintf(name, sizeof(name), UNKNOWN_SERVICE "%s%s", is_one ? ":" : "",
			 is_one ? w->program : "");
	write_label(w, "service_name", name);
}

int pyroscope_add_labels(const struct profile *profile, const struct pyroscope_options *options,
			 const struct profile_sample *sample, struct text *out)
{
	struct label_writer w = {.profile = profile, .options = options, .out = out};
	write_label(&w, "__name__", options->profile_name);
	if (options->application)
		write_label(&w, "service_name", options->application);
	for (size_t i = 0; i < options->label_count; i++)
		write_label(&w, options->labels[i].name, options->labels[i].value);
	visit_sample(&w, sample, look_at);
	visit_sample(&w, sample, write_found);
	for (size_t i = 0; i < options->attribute_count; i++)
		write_attribute(&w, options->attributes[i].key, options->attributes[i].text,
				options->attributes[i].number);
	visit(&w, profile->host_attributes.items, profile->host_attributes.count, write_host_name);
	write_unknown_service(&w);
	return out->failed ? -ENOMEM : 0;
}
