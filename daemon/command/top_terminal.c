/* SPDX-License-Identifier: Apache-2.0 */
/* See top_terminal.h. There is one terminal, ncurses keeps it in globals, and so does this file. */
#include "command/top_terminal.h"

#include "base/log.h"
#include "command/terminal.h"
#include "profile/profile.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#define ESCAPE_DELAY_MS 25 /* between Esc alone and the start of a key's sequence */
#define MAX_COLUMNS 1024
#define HELD_BYTES (64U << 10) /* of messages; more are lost, and said to be */

static SCREEN *screen;
static bool has_colours, is_utf8;

/* ---- The way back after a crash -------------------------------------------------------------------- */

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};

static struct termios modes_before;
static char way_back[256]; /* sequences that leave the screen */
static size_t way_back_length;

static int collect_byte(int byte)
{
	if (way_back_length < sizeof(way_back))
		way_back[way_back_length++] = (char)byte;
	return byte;
}

/* Nothing but system calls that a signal handler may make; then the signal has its default effect. */
static void on_crash(int number)
{
	ssize_t ignored = write(STDOUT_FILENO, way_back, way_back_length);
	(void)ignored;
	tcsetattr(STDIN_FILENO, TCSANOW, &modes_before);
	raise(number);
}

static void prepare_way_back(void)
{
	static const char *const names[] = {"sgr0", "op", "cnorm", "rmkx", "rmcup"};
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_RESETHAND};
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		const char *sequence = tigetstr(names[i]);
		if (sequence && sequence != (const char *)-1)
			tputs(sequence, 1, collect_byte);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(crash_signals); i++)
		sigaction(crash_signals[i], &action, NULL);
}

static void forget_way_back(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(crash_signals); i++)
		signal(crash_signals[i], SIG_DFL);
}

/* ---- Messages that would spoil the picture --------------------------------------------------------- */

static int held_messages = -1, error_before = -1;

static void hold_messages(void)
{
	if (!isatty(STDERR_FILENO))
		return;
	held_messages = memfd_create("messages", MFD_CLOEXEC);
	error_before = dup(STDERR_FILENO);
	if (held_messages >= 0 && error_before >= 0)
		dup2(held_messages, STDERR_FILENO);
	/* A message that repeats is counted instead. */
	log_set_limited(true);
}

static void release_messages(void)
{
	char buffer[4096];
	ssize_t got;
	off_t at = 0;
	if (error_before < 0 || held_messages < 0)
		return;
	dup2(error_before, STDERR_FILENO);
	while (at < HELD_BYTES && (got = pread(held_messages, buffer, sizeof(buffer), at)) > 0) {
		fwrite(buffer, 1, (size_t)got, stderr);
		at += got;
	}
	if (at >= HELD_BYTES)
		fputs("\n(more messages are not shown)\n", stderr);
	close(error_before);
	close(held_messages);
	held_messages = error_before = -1;
}

/* ---- Enter and leave ------------------------------------------------------------------------------- */

static const short type_colours[FRAME_TYPE_MAX] = {
	[FRAME_TYPE_NATIVE] = -1,	   [FRAME_TYPE_KERNEL] = COLOR_YELLOW,
	[FRAME_TYPE_JIT] = COLOR_GREEN,	   [FRAME_TYPE_INTERPRETER] = COLOR_MAGENTA,
	[FRAME_TYPE_GO] = COLOR_CYAN,	   [FRAME_TYPE_MARK] = COLOR_RED,
};

static void start_colours(void)
{
	has_colours = terminal_has_colour(STDOUT_FILENO) && has_colors() && start_color() == OK &&
		      use_default_colors() == OK;
	for (short i = 0; has_colours && i < FRAME_TYPE_MAX; i++)
		init_pair((short)(i + 1), type_colours[i], -1);
}

unsigned long top_terminal_type_attribute(unsigned type)
{
	return has_colours && type < FRAME_TYPE_MAX ? COLOR_PAIR(type + 1) : 0;
}

int top_terminal_enter(void)
{
	setlocale(LC_CTYPE, "");
	is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	tcgetattr(STDIN_FILENO, &modes_before);
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return -ENOTTY;
	if (!cursor_address) { /* "dumb": everything would land on one line */
		endwin();
		delscreen(take_pointer(screen));
		return -ENOTTY;
	}
	signal(SIGTSTP, SIG_DFL); /* not ncurses's: the event loop's */
	prepare_way_back();
	hold_messages();
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_DELAY_MS);
	curs_set(0);
	start_colours();
	return 0;
}

void top_terminal_leave(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
	forget_way_back();
	release_messages();
}

void top_terminal_suspend(void)
{
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	endwin();
	raise(SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &stop, NULL); /* stops here */
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	top_terminal_resize();
}

void top_terminal_renew(void)
{
	endwin();
	top_terminal_resize();
}

void top_terminal_resize(void)
{
	struct winsize size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
	clearok(stdscr, TRUE);
	refresh();
}

/* ---- Text ------------------------------------------------------------------------------------------ */

/* The next character, '?' for what this terminal cannot show. Returns its bytes. */
static size_t next_character(const char *text, wchar_t *ret)
{
	mbstate_t state = {0};
	*ret = L'?';
	if ((unsigned char)*text < 0x80) {
		*ret = (unsigned char)*text < 0x20 || *text == 0x7f ? L'?' : (wchar_t)*text;
		return 1;
	}
	size_t length = 1;
	if (is_utf8) {
		wchar_t character;
		size_t read = mbrtowc(&character, text, strlen(text), &state);
		if (read > 0 && read < 5) {
			*ret = wcwidth(character) > 0 ? character : L'?';
			return read;
		}
	}
	while ((text[length] & 0xc0) == 0x80)
		length++;
	return length;
}

int top_terminal_write(int line, int column, const char *text, unsigned long attribute)
{
	wchar_t characters[MAX_COLUMNS];
	int count = 0, start = column;
	while (*text && count < MAX_COLUMNS) {
		wchar_t character;
		size_t length = next_character(text, &character);
		int width = wcwidth(character) > 0 ? wcwidth(character) : 1;
		if (column + width > COLS)
			break;
		characters[count++] = character;
		column += width;
		text += length;
	}
	attrset((attr_t)attribute);
	mvaddnwstr(line, start, characters, count);
	attrset(A_NORMAL);
	return column;
}
