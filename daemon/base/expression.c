/* SPDX-License-Identifier: Apache-2.0 */
/* See expression.h. The classes are written out as POSIX has them; all else is left to the C library. */
#include "base/expression.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

struct translation {
	const char *at;	  /* what is read next */
	bool in_brackets;
	struct text text;
	char refused; /* the letter behind a backslash that means nothing here; 0: none */
};

static const char *class_of(char letter)
{
	switch (tolower((unsigned char)letter)) {
	case 'd':
		return "[:digit:]";
	case 'w':
		return "[:alnum:]_";
	case 's':
		return "[:space:]";
	default:
		return NULL;
	}
}

/* The GNU C library's own: between, and not between, letters of a word. */
static bool is_of_library(char letter)
{
	return letter == 'b' || letter == 'B';
}

/* Behind a backslash. */
static void translate_escape(struct translation *t)
{
	char letter = *t->at;
	bool is_opposite = isupper((unsigned char)letter);
	const char *class = class_of(letter);
	if (class && t->in_brackets && !is_opposite) {
		text_add_string(&t->text, class);
	} else if (class && !t->in_brackets) {
		text_add(&t->text, "[%s%s]", is_opposite ? "^" : "", class);
	} else if (isalpha((unsigned char)letter) && (t->in_brackets || !is_of_library(letter))) {
		t->refused = letter;
	} else {
		text_add_char(&t->text, '\\');
		if (t->in_brackets || !letter) /* what follows is looked at by itself */
			return;
		text_add_char(&t->text, letter);
	}
	t->at++;
}

/* "[:alpha:]", "[.-.]" or "[=a=]" within brackets: returns its length, 0 for none. */
static size_t length_of_class(const char *at)
{
	if (at[0] != '[' || !at[1] || !strchr(":.=", at[1]))
		return 0;
	const char end[] = {at[1], ']', '\0'};
	const char *found = strstr(at + 2, end);
	return found ? (size_t)(found - at) + 2 : 0;
}

/* From behind the bracket: one that closes ends nothing at the very start. */
static void open_brackets(struct translation *t)
{
	size_t length = *t->at == '^';
	length += t->at[length] == ']';
	text_add_bytes(&t->text, t->at, length);
	t->at += length;
	t->in_brackets = true;
}

static void translate_next(struct translation *t)
{
	size_t length = t->in_brackets ? length_of_class(t->at) : 0;
	if (length) {
		text_add_bytes(&t->text, t->at, length);
		t->at += length;
		return;
	}
	char c = *t->at++;
	if (c == '\\') {
		translate_escape(t);
		return;
	}
	text_add_char(&t->text, c);
	if (c == '[' && !t->in_brackets)
		open_brackets(t);
	else if (c == ']')
		t->in_brackets = false;
}

static int compile(const char *pattern, const char *translated, regex_t *ret, struct text *error)
{
	char reason[128];
	int r = regcomp(ret, translated, REG_EXTENDED | REG_NOSUB);
	if (r == 0)
		return 0;
	if (r == REG_ESPACE)
		return -ENOMEM;
	regerror(r, ret, reason, sizeof(reason));
	text_add(error, "'%s' is no regular expression: %s", pattern, reason);
	return -EINVAL;
}

int expression_compile(const char *pattern, regex_t *ret, struct text *error)
{
	struct translation t = {.at = pattern};
	while (*t.at && !t.refused)
		translate_next(&t);
	int r = t.text.failed ? -ENOMEM : 0;
	if (r == 0 && t.refused) {
		text_add(error,
			 "'%s' is no regular expression: \\%c means nothing%s (POSIX extended ones are taken, with \\d, \\w, "
			 "\\s)",
			 pattern, t.refused, t.in_brackets ? " in brackets" : "");
		r = -EINVAL;
	}
	if (r == 0)
		r = compile(pattern, t.text.bytes ? t.text.bytes : "", ret, error);
	text_free(&t.text);
	return r;
}
