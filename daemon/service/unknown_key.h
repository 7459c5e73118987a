/* SPDX-License-Identifier: Apache-2.0 */
/* What a person may have meant by a key that the configuration does not have: a slip of the finger, a word of its
 * name, a key of another section; where nothing comes near, what the section has. */
#pragma once

#include "base/text.h"
#include "service/setting.h"

/* Keys of the configuration whose values are lists of sections. */
#define EXPORTERS_KEY "exporters"
#define STRATEGIES_KEY "strategies"

struct unknown_key {
	const struct setting *table; /* it was looked for in */
	const char *place;	     /* before the table's keys: "exporters[2]."; "" at the top */
	const char *prefix;	     /* the section: "sampling."; "" outside of sections */
	const char *name;	     /* in the section: "frequncy" */
};

/* Appends "; did you mean sampling.frequency?". */
void unknown_key_explain(const struct unknown_key *key, struct text *out);
