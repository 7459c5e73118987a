/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal while `top` has it: entered and left whole. Whatever ends the process, except a SIGKILL, finds
 * the way back: signals through the event loop, a crash through a handler that only writes bytes prepared
 * before. Messages on standard error wait until the screen is gone.
 */
#pragma once

#include "base/attributes.h"

/* Takes the terminal of standard input and output over. Returns 0, or -ENOTTY when its type ($TERM) is not
 * known. Not twice in a process. */
int top_terminal_enter(void);

/* Gives it back, and writes what was held back. Harmless when it was not entered. */
void top_terminal_leave(void);

/* Gives it back, stops this process as SIGTSTP does, and takes it over when the process goes on. */
void top_terminal_suspend(void);

/* Takes it over again: somebody else changed its modes while this process was stopped. */
void top_terminal_renew(void);

/* Asks the terminal for its size, and draws for that. */
void top_terminal_resize(void);

/* Writes `text` from a column on, at most to the last one, with an attribute of ncurses. Returns the next
 * column. */
int top_terminal_write(int line, int column, const char *text, unsigned long attribute);

/* How a kind of frame looks. 0 without colours. */
unsigned long top_terminal_type_attribute(unsigned type);
