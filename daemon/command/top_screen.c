/* SPDX-License-Identifier: Apache-2.0 */
/* See top_screen.h. Every event ends in a picture of the browser's state; ncurses sends what changed. */
#include "command/top_screen.h"

#include "base/clock.h"
#include "command/command.h"
#include "command/top_browser.h"
#include "command/top_terminal.h"
#include "command/top_text.h"

#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define STATE_LINE TOP_HEADER_LINES
#define COLUMNS_LINE (TOP_HEADER_LINES + 1)
#define BODY_LINE (TOP_HEADER_LINES + 2)

struct top_screen {
	struct top *top;
	struct top_browser browser;
};

static const char *const help[] = {
	"1 to 5      functions, processes, threads, containers, stacks; Tab: the next",
	"up down     select a row; also j k, Page Up, Page Down, Home End, g G",
	"Enter       function: its callers and callees; process, thread, container: its",
	"            functions (1 to 5 then show only it); stack: its frames",
	"Esc         back; on the first page: no filter",
	"s t n       order by self, total, name",
	"/           show rows with a text in their name; Enter keeps it, Esc drops it",
	"space       freeze the picture, and go on",
	"+ -         longer, shorter intervals",
	"q           quit",
	"",
	"self        CPU time in the function alone; user: in user code alone",
	"total       with everything called; both are shares of the CPU time in view",
	"CPU         of one CPU: 200 % are two CPUs, always busy",
	"missed      ticks in which the kernel let nobody look; in no row",
};

/* ---- Drawing --------------------------------------------------------------------------------------- */

static void write_text(int line, struct text *text, unsigned long attribute)
{
	top_terminal_write(line, 0, text->bytes ? text->bytes : "", attribute);
	text_free(text);
}

static void draw_header(const struct top_screen *screen)
{
	for (unsigned i = 0; i < TOP_HEADER_LINES; i++) {
		struct text line = {0};
		if (screen->browser.profile)
			top_text_header(&screen->browser.facts, screen->top->source_name,
					screen->top->cpus, i, &line);
		else if (i == 0)
			text_add(&line, "bolometer top  %s  the first interval has begun",
				 screen->top->source_name);
		write_text((int)i, &line, i == 0 ? A_BOLD : A_NORMAL);
	}
}

static void draw_state(struct top_screen *screen)
{
	struct top_browser *browser = &screen->browser;
	struct top_page *page = top_browser_page(browser);
	char part[256], delay[32];
	int column = 0;
	for (unsigned i = 0; i < TOP_VIEW_MAX; i++) {
		snprintf(part, sizeof(part), "%u %s", i + 1, top_view_names[i]);
		column = top_terminal_write(STATE_LINE, column, part,
					    i == page->question.view ? A_BOLD | A_UNDERLINE : A_NORMAL);
		column = top_terminal_write(STATE_LINE, column, " ", A_NORMAL);
	}
	snprintf(part, sizeof(part), " by %s  ", top_order_names[page->question.order]);
	column = top_terminal_write(STATE_LINE, column, part, A_NORMAL);
	if (browser->is_frozen) {
		top_terminal_write(STATE_LINE, MAX_OF(MIN_OF(column, COLS - 6), 0), "FROZEN",
				   A_REVERSE | A_BOLD);
		return;
	}
	snprintf(part, sizeof(part), "every %s", text_duration(delay, sizeof(delay), browser->delay_ns));
	top_terminal_write(STATE_LINE, column, part, A_NORMAL);
}

static void draw_row(struct top_screen *screen, size_t index, int line)
{
	struct top_browser *browser = &screen->browser;
	struct top_page *page = top_browser_page(browser);
	const struct top_row *row = &browser->table.rows.items[index];
	bool has_type = page->question.view == TOP_FUNCTIONS || page->question.view == TOP_STACKS;
	unsigned long attribute = has_type ? top_terminal_type_attribute(row->type) : A_NORMAL;
	struct text text = {0};
	if (row->side == TOP_MIDDLE)
		attribute |= A_BOLD;
	if (index == page->cursor)
		attribute |= A_REVERSE;
	top_text_row(&page->question, &browser->table, row, &browser->facts, &text);
	/* The selected row is seen to the right edge. */
	for (int i = 0; index == page->cursor && i < COLS; i++)
		text_add_char(&text, ' ');
	write_text(line, &text, attribute);
}

static const char *empty_reason(const struct top_browser *browser)
{
	if (!browser->profile)
		return "";
	if (browser->error == -ENOENT)
		return "It did not run in this interval.";
	if (browser->error < 0)
		return strerror(-browser->error);
	return browser->table.unfiltered ? "No name matches the filter."
					 : "Nothing ran in this interval.";
}

static void draw_table(struct top_screen *screen)
{
	struct top_browser *browser = &screen->browser;
	struct top_page *page = top_browser_page(browser);
	struct text columns = {0};
	top_text_columns(&page->question, &columns);
	for (int i = (int)columns.length; i < COLS; i++)
		text_add_char(&columns, ' ');
	write_text(COLUMNS_LINE, &columns, A_UNDERLINE);
	for (size_t i = 0; i < browser->body && page->first + i < browser->table.rows.count; i++)
		draw_row(screen, page->first + i, BODY_LINE + (int)i);
	if (!browser->table.rows.count)
		top_terminal_write(BODY_LINE, 0, empty_reason(browser), A_NORMAL);
}

static void draw_help(void)
{
	for (int i = 0; i < (int)ARRAY_LENGTH(help) && STATE_LINE + 1 + i < LINES - 1; i++)
		top_terminal_write(STATE_LINE + 1 + i, 2, help[i], A_NORMAL);
	top_terminal_write(LINES - 1, 0, "any key goes back", A_BOLD);
}

static void draw_footer(struct top_screen *screen)
{
	struct top_browser *browser = &screen->browser;
	struct top_page *page = top_browser_page(browser);
	struct text line = {0};
	if (browser->edits_filter || page->filter[0]) {
		text_add(&line, "/%s%s  %zu of %zu rows", page->filter,
			 browser->edits_filter ? "_" : "", browser->table.rows.count,
			 browser->table.unfiltered);
		write_text(LINES - 1, &line, A_BOLD);
	} else if (page->title) {
		for (size_t i = 1; i <= browser->depth; i++)
			text_add(&line, "%s%s", i > 1 ? " > " : "Esc: back from ",
				 browser->pages[i].title);
		write_text(LINES - 1, &line, A_BOLD);
	} else {
		text_add_string(&line, "? help  q quit  / filter  space freeze  Enter open  "
				       "s t n order  + - interval");
		write_text(LINES - 1, &line, A_DIM);
	}
}

static void draw(struct top_screen *screen)
{
	struct top_browser *browser = &screen->browser;
	int body = LINES - BODY_LINE - 1;
	top_browser_resize(browser, body > 0 ? (size_t)body : 0);
	erase();
	draw_header(screen);
	if (browser->shows_help) {
		draw_help();
	} else {
		draw_state(screen);
		draw_table(screen);
		draw_footer(screen);
	}
	refresh();
}

/* ---- Events ---------------------------------------------------------------------------------------- */

static uint32_t translate(int kind, wint_t code)
{
	static const struct {
		wint_t curses;
		uint32_t key;
	} keys[] = {
		{KEY_UP, TOP_KEY_UP},		 {KEY_DOWN, TOP_KEY_DOWN},
		{KEY_PPAGE, TOP_KEY_PAGE_UP},	 {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
		{KEY_HOME, TOP_KEY_HOME},	 {KEY_END, TOP_KEY_END},
		{KEY_BTAB, TOP_KEY_PREVIOUS_VIEW}, {KEY_ENTER, TOP_KEY_ENTER},
		{KEY_BACKSPACE, TOP_KEY_BACKSPACE}, {KEY_RIGHT, TOP_KEY_ENTER},
		{KEY_LEFT, TOP_KEY_ESCAPE},
	};
	for (size_t i = 0; kind == KEY_CODE_YES && i < ARRAY_LENGTH(keys); i++)
		if (keys[i].curses == code)
			return keys[i].key;
	if (kind == KEY_CODE_YES)
		return 0;
	switch (code) {
	case '\r': case '\n':
		return TOP_KEY_ENTER;
	case '\t':
		return TOP_KEY_NEXT_VIEW;
	case 27:
		return TOP_KEY_ESCAPE;
	case 8: case 127:
		return TOP_KEY_BACKSPACE;
	case 12: /* Ctrl-L */
		clearok(stdscr, TRUE);
		return 0;
	default:
		return (uint32_t)code;
	}
}

static int on_input(struct loop_source *source, uint32_t events, void *userdata)
{
	struct top_screen *screen = userdata;
	wint_t code;
	int kind;
	if (events & (EPOLLHUP | EPOLLERR))
		loop_stop(screen->top->loop, 0); /* the terminal has gone */
	while ((kind = get_wch(&code)) != ERR) {
		enum top_action action = top_browser_key(&screen->browser, translate(kind, code));
		if (action == TOP_QUIT) {
			loop_stop(screen->top->loop, 0);
			return 0;
		}
		if (action == TOP_SET_DELAY) {
			top_source_set_delay(screen->top->source, screen->browser.delay_ns);
			screen->browser.delay_ns = top_source_delay(screen->top->source);
		}
	}
	draw(screen);
	return 0;
}

static int on_signal(struct loop_source *source, uint32_t signal, void *userdata)
{
	struct top_screen *screen = userdata;
	switch (signal) {
	case SIGTSTP:
		top_source_pause(screen->top->source);
		top_terminal_suspend();
		top_source_resume(screen->top->source);
		break;
	case SIGCONT:
		top_terminal_renew();
		break;
	case SIGWINCH:
		top_terminal_resize();
		break;
	default:
		loop_stop(screen->top->loop, 0);
		return 0;
	}
	draw(screen);
	return 0;
}

int top_screen_profile(struct profile *profile, const char *problem, void *userdata)
{
	struct top *top = userdata;
	if (!profile) {
		snprintf(top->problem, sizeof(top->problem), "%s", problem);
		return -EIO;
	}
	top_browser_show(&top->screen->browser, profile);
	draw(top->screen);
	if (++top->intervals == top->options.intervals)
		loop_stop(top->loop, 0);
	return 0;
}

/* ---- The run --------------------------------------------------------------------------------------- */

static int watch(struct top_screen *screen)
{
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,	 SIGQUIT,
				      SIGTSTP, SIGCONT, SIGWINCH};
	struct loop *loop = screen->top->loop;
	struct loop_source *source;
	int r = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(signals) && r == 0; i++)
		r = loop_add_signal(loop, signals[i], on_signal, screen, &source);
	if (r == 0)
		r = loop_add_fd(loop, STDIN_FILENO, EPOLLIN, on_input, screen, &source);
	return r;
}

static int enter_terminal(void)
{
	int r = top_terminal_enter();
	const char *type = getenv("TERM");
	if (r == -ENOTTY)
		return command_error(&command_top,
				     "a terminal of type '%s' ($TERM) is not known here, or cannot "
				     "place text; --batch needs none",
				     type ? type : "");
	return r < 0 ? command_error(&command_top, "%s", strerror(-r)) : STATUS_OK;
}

int top_screen_run(struct top *top)
{
	struct recording_failure failure = {{0}};
	struct top_screen screen = {.top = top};
	top->screen = &screen;
	int r = top_browser_init(&screen.browser, &top->question,
				 top_source_delay(top->source));
	if (r == 0)
		r = watch(&screen);
	if (r == 0)
		r = top_source_start(top->source, &failure);
	int status = r < 0 ? record_failed(&command_top, &failure, r) : enter_terminal();
	if (status == STATUS_OK) {
		draw(&screen);
		r = loop_run(top->loop);
		top_terminal_leave();
		if (r < 0)
			status = command_error(&command_top, "%s",
					       top->problem[0] ? top->problem : strerror(-r));
	}
	top_browser_free(&screen.browser);
	return status;
}
