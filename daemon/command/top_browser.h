/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A person's way through the tables of `top`: pages that open each other, the row the cursor is on, the
 * filter being typed, the frozen picture. Keys go in, a table to draw comes out; no terminal is needed.
 */
#pragma once

#include "command/top_facts.h"
#include "command/top_model.h"

#define TOP_PAGES 32	/* opened from each other; at the last one nothing opens further */
#define TOP_FILTER_BYTES 128

/* Keys that are no characters. */
enum top_key {
	TOP_KEY_UP = 0x110000, /* past Unicode */
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_NEXT_VIEW,
	TOP_KEY_PREVIOUS_VIEW,
	TOP_KEY_ENTER,
	TOP_KEY_ESCAPE,
	TOP_KEY_BACKSPACE,
};

/* What the owner of the browser has to do after a key. */
enum top_action { TOP_GO_ON, TOP_QUIT, TOP_SET_DELAY };

struct top_page {
	struct top_question question; /* its texts are the page's */
	char *function;		      /* of question.function */
	char filter[TOP_FILTER_BYTES];
	char *title; /* how the page was reached; NULL for the first one */
	size_t cursor, first; /* rows: selected, and uppermost on the screen */
};

struct top_browser {
	struct top_page pages[TOP_PAGES];
	size_t depth; /* index of the page shown */
	struct profile *profile; /* shown; NULL: none came yet */
	struct top_facts facts;
	struct top_table table;
	int error; /* of the table; -ENOENT: the page's subject did not run in this interval */
	uint64_t delay_ns;
	size_t body; /* rows that the screen has room for */
	bool is_frozen, shows_help, edits_filter;
};

/* Starts with the page of a question, whose texts are copied. Returns 0 or -ENOMEM. */
int top_browser_init(struct top_browser *browser, const struct top_question *question,
		     uint64_t delay_ns);
void top_browser_free(struct top_browser *browser);

/* Shows a new profile, which it takes; a frozen browser only counts it. */
void top_browser_show(struct top_browser *browser, struct profile *profile);

/* A key: a character or enum top_key. */
enum top_action top_browser_key(struct top_browser *browser, uint32_t key);

/* The screen has room for so many rows. */
void top_browser_resize(struct top_browser *browser, size_t body);

static inline struct top_page *top_browser_page(struct top_browser *browser)
{
	return &browser->pages[browser->depth];
}
