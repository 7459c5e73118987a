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

#define MAX_LABELS PYROSCOPE_MAX_LABELS /* Pyroscope refuses a series with more */
#define MAX_VALUE_BYTES 2048		 /* and longer values */
#define MAX_NAME_BYTES 128
#define HOST_SERVICE "bolometer"
#define PROGRAM "process.executable.name"
#define SERVICE "service.name"
#define SERVICE_LABEL "service_name"

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
	const char *service; /* what the sample says of it; NULL: nothing */
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
	return otlp_attributes_have(w->options->attributes, w->options->attribute_count, key);
}

/* Does an attribute of this key tell series apart? Of the host its name does, which comes last. */
static bool is_wanted(const struct label_writer *w, const char *key)
{
	enum otlp_key_class class = otlp_class_of_key(key);
	switch (class) {
	case OTLP_KEY_PROCESS:
	case OTLP_KEY_EXECUTABLE_NAME:
	case OTLP_KEY_CONTAINER:
		return otlp_class_makes_group(class, w->options->grouping, w->has_container);
	case OTLP_KEY_OTHER: /* what a process declares of itself */
		return w->in_resource && otlp_class_makes_group(class, w->options->grouping, w->has_container);
	case OTLP_KEY_THREAD_NAME:
		return w->options->thread_names;
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

/* What was only guessed gives way to what an operator configured. */
static bool gives_way(const struct label_writer *w, const struct profile_label *label)
{
	return label->is_guess && is_configured(w, profile_text(w->profile, label->key));
}

static void look_at(struct label_writer *w, const struct profile_label *label)
{
	const char *key = profile_text(w->profile, label->key);
	if (!strcmp(key, "container.id"))
		w->has_container = true;
	else if (!strcmp(key, PROGRAM) && label->text)
		copy_program(profile_text(w->profile, label->text), w->program);
	else if (!strcmp(key, SERVICE) && label->text && !w->service && !gives_way(w, label))
		w->service = profile_text(w->profile, label->text);
}

static void write_found(struct label_writer *w, const struct profile_label *label)
{
	const char *key = profile_text(w->profile, label->key);
	if (!is_wanted(w, key) || gives_way(w, label))
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

/* A series without this label is refused: it comes before all that could fill the space. */
static void write_service(struct label_writer *w)
{
	const struct pyroscope_options *options = w->options;
	bool is_one = *w->program && is_wanted(w, PROGRAM);
	char unknown[256] = HOST_SERVICE;
	if (options->grouping != OTLP_BY_HOST)
		snprintf(unknown, sizeof(unknown), OTLP_UNKNOWN_SERVICE "%s%s", is_one ? ":" : "",
			 is_one ? w->program : "");
	if (options->application)
		write_label(w, SERVICE_LABEL, options->application);
	for (size_t i = 0; i < options->label_count; i++)
		if (!strcmp(options->labels[i].name, SERVICE_LABEL))
			write_label(w, SERVICE_LABEL, options->labels[i].value);
	if (w->service && is_wanted(w, SERVICE))
		write_label(w, SERVICE_LABEL, w->service);
	for (size_t i = 0; i < options->attribute_count; i++)
		if (!strcmp(options->attributes[i].key, SERVICE) && options->attributes[i].text)
			write_label(w, SERVICE_LABEL, options->attributes[i].text);
	write_label(w, SERVICE_LABEL, unknown);
}

int pyroscope_add_labels(const struct profile *profile, const struct pyroscope_options *options,
			 const struct profile_sample *sample, struct text *out)
{
	struct label_writer w = {.profile = profile, .options = options, .out = out};
	write_label(&w, "__name__", options->profile_name);
	visit_sample(&w, sample, look_at);
	write_service(&w);
	for (size_t i = 0; i < options->label_count; i++)
		write_label(&w, options->labels[i].name, options->labels[i].value);
	visit_sample(&w, sample, write_found);
	for (size_t i = 0; i < options->attribute_count; i++)
		write_attribute(&w, options->attributes[i].key, options->attributes[i].text,
				options->attributes[i].number);
	visit(&w, profile->host_attributes.items, profile->host_attributes.count, write_host_name);
	return out->failed ? -ENOMEM : 0;
}
