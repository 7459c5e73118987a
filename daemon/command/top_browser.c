/* SPDX-License-Identifier: Apache-2.0 */
/* See top_browser.h. */
#include "command/top_browser.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

static const uint64_t delays_ms[] = {100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000};

/* ---- Pages ----------------------------------------------------------------------------------------- */

static void page_free(struct top_page *page)
{
	free(page->function);
	free(page->title);
	*page = (struct top_page){0};
}

/* A page's texts are inside it: they are pointed to when they are asked for. */
static const struct top_question *page_question(struct top_page *page)
{
	page->question.filter = page->filter;
	page->question.function = page->function;
	return &page->question;
}

int top_browser_init(struct top_browser *browser, const struct top_question *question,
		     uint64_t delay_ns)
{
	*browser = (struct top_browser){.delay_ns = delay_ns};
	struct top_page *page = top_browser_page(browser);
	page->question = *question;
	page->question.function = page->question.filter = NULL;
	if (question->filter && strlen(question->filter) < sizeof(page->filter))
		strcpy(page->filter, question->filter);
	if (question->function && !(page->function = strdup(question->function)))
		return -ENOMEM;
	return 0;
}

void top_browser_free(struct top_browser *browser)
{
	for (size_t i = 0; i < TOP_PAGES; i++)
		page_free(&browser->pages[i]);
	top_table_free(&browser->table);
	browser->profile = profile_free(browser->profile);
}

/* ---- The table and the cursor ---------------------------------------------------------------------- */

static void keep_in_sight(struct top_browser *browser)
{
	struct top_page *page = top_browser_page(browser);
	size_t rows = browser->table.rows.count;
	if (page->cursor >= rows)
		page->cursor = rows ? rows - 1 : 0;
	if (page->first > page->cursor)
		page->first = page->cursor;
	if (browser->body && page->cursor >= page->first + browser->body)
		page->first = page->cursor - browser->body + 1;
	if (page->first + browser->body > rows)
		page->first = rows > browser->body ? rows - browser->body : 0;
}

static bool same_row(const struct top_row *a, const struct top_row *b)
{
	return a->id == b->id && a->type == b->type && a->side == b->side &&
	       strcmp(a->name, b->name) == 0;
}

/* A cursor that was moved stays on its row; one on the first row stays there, whatever comes up. */
static void follow_row(struct top_browser *browser, const struct top_table *before)
{
	struct top_page *page = top_browser_page(browser);
	if (!page->cursor || page->cursor >= before->rows.count)
		return;
	const struct top_row *row = &before->rows.items[page->cursor];
	for (size_t i = 0; i < browser->table.rows.count; i++)
		if (same_row(&browser->table.rows.items[i], row)) {
			page->cursor = i;
			return;
		}
}

static void rebuild(struct top_browser *browser, bool same_page)
{
	struct top_table before = browser->table;
	browser->table = (struct top_table){0};
	if (browser->profile) {
		browser->error = top_table_build(browser->profile,
						 page_question(top_browser_page(browser)),
						 &browser->table);
		if (same_page)
			follow_row(browser, &before);
		keep_in_sight(browser);
	}
	top_table_free(&before);
}

void top_browser_show(struct top_browser *browser, struct profile *profile)
{
	struct top_facts facts;
	top_facts_read(profile, &facts);
	if (browser->is_frozen) {
		profile_free(profile);
		return;
	}
	struct profile *old = browser->profile;
	browser->profile = profile;
	browser->facts = facts;
	rebuild(browser, true);
	profile_free(old);
}

void top_browser_resize(struct top_browser *browser, size_t body)
{
	browser->body = body;
	keep_in_sight(browser);
}

/* ---- From page to page ----------------------------------------------------------------------------- */

static void go_back(struct top_browser *browser)
{
	if (browser->depth) {
		page_free(top_browser_page(browser));
		browser->depth--;
	} else {
		browser->pages[0].filter[0] = '\0';
	}
	rebuild(browser, false);
}

/* Takes the texts. */
static void open_page(struct top_browser *browser, const struct top_question *question,
		      char *function, char *title)
{
	if (browser->depth + 1 == TOP_PAGES || !title || (question->function && !function)) {
		free(function);
		free(title);
		return;
	}
	browser->depth++;
	*top_browser_page(browser) = (struct top_page){
		.question = *question, .function = function, .title = title};
	rebuild(browser, false);
}

static void open_function(struct top_browser *browser, const struct top_row *row)
{
	struct top_question question = *page_question(top_browser_page(browser));
	if (row->side == TOP_MIDDLE)
		return;
	question.view = TOP_FUNCTIONS;
	question.function = row->name;
	question.function_type = row->type;
	question.stack = 0;
	open_page(browser, &question, strdup(row->name), strdup(row->name));
	/* On the function itself, between its callers and its callees. */
	for (size_t i = 0; i < browser->table.rows.count; i++)
		if (browser->table.rows.items[i].side == TOP_MIDDLE)
			top_browser_page(browser)->cursor = i;
	keep_in_sight(browser);
}

static void open_group(struct top_browser *browser, const struct top_row *row)
{
	static const char *const words[TOP_VIEW_MAX] = {
		[TOP_PROCESSES] = "process", [TOP_THREADS] = "thread", [TOP_CONTAINERS] = "container"};
	struct top_question question = *page_question(top_browser_page(browser));
	enum top_view kind = question.view;
	question.scope = (struct top_scope){kind, row->id};
	question.view = TOP_FUNCTIONS;
	question.function = NULL;
	char *title = kind == TOP_CONTAINERS
			      ? text_format("%s %.12s", words[kind], row->name)
			      : text_format("%s %s (%llu)", words[kind], row->name,
					    (unsigned long long)row->id);
	open_page(browser, &question, NULL, title);
}

static void open_row(struct top_browser *browser)
{
	struct top_page *page = top_browser_page(browser);
	if (page->cursor >= browser->table.rows.count)
		return;
	const struct top_row *row = &browser->table.rows.items[page->cursor];
	struct top_question question = *page_question(page);
	if (question.view == TOP_STACKS && !question.stack) {
		question.stack = row->id;
		open_page(browser, &question, NULL, text_format("stack in %.60s", row->name));
	} else if (question.view == TOP_FUNCTIONS || question.view == TOP_STACKS) {
		open_function(browser, row);
	} else {
		open_group(browser, row);
	}
}

/* Inside a process the views are those of the process. */
static void set_view(struct top_browser *browser, enum top_view view)
{
	while (browser->depth &&
	       (top_browser_page(browser)->function || top_browser_page(browser)->question.stack)) {
		page_free(top_browser_page(browser));
		browser->depth--;
	}
	struct top_page *page = top_browser_page(browser);
	page->question.view = view;
	page->cursor = page->first = 0;
	rebuild(browser, false);
}

static void set_order(struct top_browser *browser, enum top_order order)
{
	for (size_t i = 0; i <= browser->depth; i++)
		browser->pages[i].question.order = order;
	top_browser_page(browser)->cursor = 0;
	rebuild(browser, false);
}

/* ---- Keys ------------------------------------------------------------------------------------------ */

static void filter_add(struct top_page *page, uint32_t key)
{
	struct text bytes = {0};
	if (key < 0x80)
		text_add_char(&bytes, (char)key);
	else if (key < 0x800)
		text_add(&bytes, "%c%c", 0xc0 | key >> 6, 0x80 | (key & 0x3f));
	else if (key < 0x10000)
		text_add(&bytes, "%c%c%c", 0xe0 | key >> 12, 0x80 | (key >> 6 & 0x3f),
			 0x80 | (key & 0x3f));
	if (bytes.bytes && strlen(page->filter) + bytes.length < sizeof(page->filter))
		strcat(page->filter, bytes.bytes);
	text_free(&bytes);
}

static void filter_remove(struct top_page *page)
{
	size_t length = strlen(page->filter);
	while (length && (page->filter[length - 1] & 0xc0) == 0x80)
		length--;
	page->filter[length ? length - 1 : 0] = '\0';
}

static void filter_key(struct top_browser *browser, uint32_t key)
{
	struct top_page *page = top_browser_page(browser);
	if (key == TOP_KEY_ENTER || key == TOP_KEY_ESCAPE)
		browser->edits_filter = false;
	if (key == TOP_KEY_ESCAPE)
		page->filter[0] = '\0';
	else if (key == TOP_KEY_BACKSPACE)
		filter_remove(page);
	else if (key >= ' ' && key != 0x7f && key < TOP_KEY_UP)
		filter_add(page, key);
	rebuild(browser, true);
}

static void move(struct top_browser *browser, int64_t by)
{
	struct top_page *page = top_browser_page(browser);
	int64_t last = (int64_t)browser->table.rows.count - 1;
	int64_t to = (int64_t)page->cursor + by;
	page->cursor = to < 0 || last < 0 ? 0 : (size_t)MIN_OF(to, last);
	keep_in_sight(browser);
}

static enum top_action change_delay(struct top_browser *browser, bool longer)
{
	uint64_t now = browser->delay_ns, next = now;
	for (size_t i = 0; i < ARRAY_LENGTH(delays_ms); i++) {
		uint64_t delay = delays_ms[i] * NS_PER_MS;
		if (longer && delay > now && next == now)
			next = delay;
		if (!longer && delay < now)
			next = delay;
	}
	browser->delay_ns = next;
	return TOP_SET_DELAY;
}

static bool movement_key(struct top_browser *browser, uint32_t key)
{
	int64_t page = browser->body > 1 ? (int64_t)browser->body - 1 : 1;
	switch (key) {
	case TOP_KEY_UP: case 'k':
		move(browser, -1);
		return true;
	case TOP_KEY_DOWN: case 'j':
		move(browser, 1);
		return true;
	case TOP_KEY_PAGE_UP:
		move(browser, -page);
		return true;
	case TOP_KEY_PAGE_DOWN:
		move(browser, page);
		return true;
	case TOP_KEY_HOME: case 'g':
		move(browser, INT32_MIN);
		return true;
	case TOP_KEY_END: case 'G':
		move(browser, INT32_MAX);
		return true;
	default:
		return false;
	}
}

static bool view_key(struct top_browser *browser, uint32_t key)
{
	enum top_view view = top_browser_page(browser)->question.view;
	if (key >= '1' && key < '1' + TOP_VIEW_MAX)
		set_view(browser, (enum top_view)(key - '1'));
	else if (key == TOP_KEY_NEXT_VIEW)
		set_view(browser, (view + 1) % TOP_VIEW_MAX);
	else if (key == TOP_KEY_PREVIOUS_VIEW)
		set_view(browser, (view + TOP_VIEW_MAX - 1) % TOP_VIEW_MAX);
	else if (key == 's')
		set_order(browser, TOP_BY_SELF);
	else if (key == 't')
		set_order(browser, TOP_BY_TOTAL);
	else if (key == 'n')
		set_order(browser, TOP_BY_NAME);
	else
		return false;
	return true;
}

enum top_action top_browser_key(struct top_browser *browser, uint32_t key)
{
	if (browser->shows_help) {
		browser->shows_help = false;
		return TOP_GO_ON;
	}
	if (browser->edits_filter) {
		filter_key(browser, key);
		return TOP_GO_ON;
	}
	if (movement_key(browser, key) || view_key(browser, key))
		return TOP_GO_ON;
	switch (key) {
	case 'q':
		return TOP_QUIT;
	case '?': case 'h':
		browser->shows_help = true;
		break;
	case '/':
		browser->edits_filter = true;
		break;
	case ' ':
		browser->is_frozen = !browser->is_frozen;
		break;
	case TOP_KEY_ENTER:
		open_row(browser);
		break;
	case TOP_KEY_ESCAPE: case TOP_KEY_BACKSPACE:
		go_back(browser);
		break;
	case '+': case '-':
		return change_delay(browser, key == '+');
	}
	return TOP_GO_ON;
}
