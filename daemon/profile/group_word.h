/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words by which a person says what a sample belongs to, and what a sample's group is called: what --by shows,
 * and --only and --without select by.
 *
 * A word is "process" (executable and process id), "executable", "binary" (the file whose code ran: the leaf's), "thread"
 * (its name), "container", "pod", "service", or the key of any label the file has. A sample without that is called
 * "[no KEY]", "[no binary]".
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

struct group_word {
	const char *word; /* borrowed */
	const char *keys[2]; /* of labels, the second one behind the first, in parentheses; none: the binary */
};

/* Any text is a word: what is none of the above is a label's key. `word` is kept. */
struct group_word group_word_find(const char *word);

/* Appends the name of the sample's group: "nginx (4711)". */
void group_word_name(const struct group_word *word, const struct profile *profile, const struct profile_sample *sample,
		     struct text *name);

/* Whether it can be told of this profile: a word that is none of the above must be the key of some sample's label. Returns
 * 0; -EINVAL with a message in *error that names the keys there are; or -ENOMEM. */
int group_word_check(const struct profile *profile, const char *word, struct text *error);
