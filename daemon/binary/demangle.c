/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns nothing. libiberty does the decoding through its callback interface, which allocates no
 * result; the two things it does not bound are bounded here.
 *
 * Output: substitutions and back-references let a short name expand exponentially, and a callback
 * cannot refuse. The callback therefore jumps out when the cap is reached. libiberty keeps its state
 * of these two entry points on the stack (the punycode scratch buffer of one Rust identifier is the
 * only heap block, a few hundred bytes, lost when the jump happens inside it).
 *
 * Stack: libiberty refuses C++ names over 1024 bytes unless its recursion limit is lifted. Template
 * heavy programs have longer ones, so it is lifted up to DEMANGLE_MAX_INPUT, where recursion (at
 * most a few frames a byte) stays far below a thread's stack.
 */
#include "binary/demangle.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include <libiberty/demangle.h>

#define LIBIBERTY_DEFAULT_LENGTH (DEMANGLE_RECURSION_LIMIT / 2)
#define RUST_HASH_LENGTH 20 /* "17h" + 16 hex digits + "E" */

struct output {
	char bytes[DEMANGLE_MAX_OUTPUT];
	size_t length;
	jmp_buf full;
};

static void append(const char *bytes, size_t size, void *opaque)
{
	struct output *o = opaque;
	if (size > sizeof(o->bytes) - o->length)
		longjmp(o->full, 1);
	memcpy(o->bytes + o->length, bytes, size);
	o->length += size;
}

typedef int (*demangler)(const char *mangled, int options, demangle_callbackref callback,
			 void *opaque);

static bool run(demangler function, const char *mangled, int options, struct output *o)
{
	o->length = 0;
	if (setjmp(o->full) != 0)
		return false;
	return function(mangled, options, append, o) != 0 && o->length > 0;
}

/* The end of a legacy Rust name ("…17h0123456789abcdefE", then perhaps ".llvm.123"), or NULL. */
static const char *legacy_rust_end(const char *mangled)
{
	const char *found = NULL;
	for (const char *p = mangled; (p = strstr(p, "17h")); p += 3)
		if (strspn(p + 3, "0123456789abcdef") == 16 && p[19] == 'E')
			found = p + RUST_HASH_LENGTH;
	return found && (*found == '\0' || *found == '.') ? found : NULL;
}

static bool demangle_rust(const char *mangled, struct output *o)
{
	const char *end;
	if (strncmp(mangled, "_R", 2) == 0)
		end = mangled + strcspn(mangled, ".$"); /* v0: a vendor suffix starts so */
	else if (strncmp(mangled, "_ZN", 3) == 0)
		end = legacy_rust_end(mangled);
	else
		return false;
	if (!end)
		return false;
	char name[DEMANGLE_MAX_INPUT + 1];
	memcpy(name, mangled, (size_t)(end - mangled));
	name[end - mangled] = '\0';
	return run(rust_demangle_callback, name, 0, o);
}

/* libiberty prints a clone suffix as " [clone .cold]", once for each part. */
static void drop_clone_suffix(struct output *o)
{
	static const char mark[] = " [clone ";
	char *found = memmem(o->bytes, o->length, mark, sizeof(mark) - 1);
	if (found && found != o->bytes)
		o->length = (size_t)(found - o->bytes);
}

static bool demangle_cplusplus(const char *mangled, size_t length, struct output *o)
{
	if (strncmp(mangled, "_Z", 2) != 0)
		return false;
	int options = DMGL_ANSI;
	if (length > LIBIBERTY_DEFAULT_LENGTH)
		options |= DMGL_NO_RECURSE_LIMIT;
	if (!run(cplus_demangle_v3_callback, mangled, options, o)) {
		char name[DEMANGLE_MAX_INPUT + 1];
		const char *suffix = strchr(mangled, '.');
		if (!suffix)
			return false;
		memcpy(name, mangled, (size_t)(suffix - mangled));
		name[suffix - mangled] = '\0';
		if (!run(cplus_demangle_v3_callback, name, options, o))
			return false;
	}
	drop_clone_suffix(o);
	return true;
}

/* Names end up in lines of text and on terminals: a control character would break both. */
static void add_printable(struct text *out, const char *bytes, size_t size)
{
	size_t start = out->length;
	text_add_utf8(out, bytes, size);
	text_add_bytes(out, "", 0); /* terminated, even when nothing was added */
	for (size_t i = start; i < out->length; i++)
		if ((unsigned char)out->bytes[i] < 0x20 || out->bytes[i] == 0x7f)
			out->bytes[i] = '?';
}

int demangle(const char *mangled, struct text *out)
{
	size_t length = strlen(mangled);
	struct output o;
	bool done = mangled[0] == '_' && length <= DEMANGLE_MAX_INPUT &&
		    (demangle_rust(mangled, &o) || demangle_cplusplus(mangled, length, &o));
	if (done)
		add_printable(out, o.bytes, o.length);
	else
		add_printable(out, mangled, length);
	if (out->failed)
		return -ENOMEM;
	return done;
}
