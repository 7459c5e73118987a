/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser child seen from the daemon: open file descriptors go in, checked artifacts come out.
 * The child is this binary started again with no capabilities, seccomp, Landlock where present, and
 * CPU and memory limits; it can open nothing. If it dies, hangs or lies, the file it was given is
 * reported with an error, a new child is started, and the next request is served.
 *
 * Requests are queued and answered in order of priority, then age. Nothing here blocks: the daemon
 * never waits for the child except in parser_drain().
 */
#pragma once

#include "base/attributes.h"
#include "base/loop.h"
#include "binary/artifact.h"
#include "binary/jit_layout.h"

struct parser;

struct parser_limits {
	uint64_t child_memory;	 /* bytes of its own, mapped files not counted; 0: default 1 GiB */
	uint64_t request_cpu_ns; /* CPU time for one request, rounded up to s; 0: default 30 s */
	uint64_t request_wall_ns; /* wall time for one request; 0: default 60 s */
	uint64_t idle_exit_ns;	 /* the child is ended after so long without work; 0: default 20 s */
};

struct parser_statistics {
	uint64_t requests, answered, failed; /* failed: parse errors told by the child */
	uint64_t children_started, children_killed, answers_rejected;
	uint64_t children_lost; /* ended by themselves or by somebody else */
	uint64_t child_cpu_ns; /* of children that ended and of the present one */
	uint32_t child_pid; /* of the present one; 0: none */
	uint32_t child_layers; /* enum sandbox_layer, of the latest child; sandbox.h */
};

enum parser_priority {
	PARSER_SOON,	  /* somebody waits: samples, a person */
	PARSER_AHEAD,	  /* soon somebody may: tables of what is only mapped */
	PARSER_WHEN_IDLE, /* names, which a profile waits for at its end */
};

/*
 * `artifact` is checked and valid only during the call; copy what is to be kept. On failure it is
 * NULL and `error` is: -EBADMSG (not an ELF file or damaged), -ENODATA (nothing of that kind in it),
 * -E2BIG (past a limit), -ETIMEDOUT (killed for hanging), -ECHILD (the child died), -EINTR (one child
 * after the other was killed by somebody, or did not start: nothing is known of the file), -EPROTO (its answer
 * was wrong), -ESTALE (the file changed while it was parsed), or -errno of this process
 * (-EMFILE, -ENOMEM). It is called from the loop or parser_drain(), never from within a request, and
 * may make further requests, but not free the parser.
 */
typedef void (*parser_callback)(void *userdata, int error, const struct artifact *artifact);

/* Starts nothing yet: the first request does. `limits` NULL: defaults. Returns 0 or -errno. */
int parser_new(struct loop *loop, const struct parser_limits *limits, struct parser **ret);

/* What the child is started with instead of {"bolometer", "parser-child"}; /proc/self/exe is run all
 * the same. The strings stay the caller's and must outlive the parser. */
void parser_set_child_arguments(struct parser *parser, const char *const *argv);

/* Accepts NULL. Pending requests are dropped without their callback being called. */
struct parser *parser_free(struct parser *parser);

/* Unwind table and facts of the file. The descriptor is duplicated; it must be of a regular file and
 * open for reading only, so that the child cannot change the file (-EINVAL). Returns 0 or -errno. */
int parser_request_unwind(struct parser *parser, int file, enum parser_priority priority,
			  parser_callback callback, void *userdata);

/* As parser_request_unwind(), like all that follow: the file's allocators and where to probe them (allocator.h), or that
 * it has none. */
int parser_request_allocators(struct parser *parser, int file, enum parser_priority priority,
			      parser_callback callback, void *userdata);

/* The file's debug sections decompressed (dwarf_expand.h); -ENODATA where they are not compressed. */
int parser_request_dwarf(struct parser *parser, int file, enum parser_priority priority,
			 parser_callback callback, void *userdata);

/* Symbol index of the file; `debug_file` (or -1) is its separate debug file. */
int parser_request_symbols(struct parser *parser, int file, int debug_file,
			   enum parser_priority priority, parser_callback callback, void *userdata);

/* Source lines and inlined functions at `count` ELF virtual addresses, sorted ascending.
 * `dwarf_file` has the .debug_* sections; `supplementary_file` (dwz's .gnu_debugaltlink) or -1.
 * -E2BIG past 1 Mi addresses. */
int parser_request_lines(struct parser *parser, int dwarf_file, int supplementary_file,
			 const uint64_t *addresses, size_t count, bool with_inlines,
			 enum parser_priority priority, parser_callback callback, void *userdata);

/* What is in an excerpt of a process's JIT map (jit_table.h): a copy of at most JIT_MAX_EXCERPT bytes. */
int parser_request_jit(struct parser *parser, int excerpt, const struct jit_source *source,
		       enum parser_priority priority, parser_callback callback, void *userdata);

/* What was asked with this `userdata`, unless it is with the child already, is PARSER_SOON from now on. */
void parser_hasten(struct parser *parser, const void *userdata);

/* From within a callback that was given an artifact: it is the caller's from now on, to be released with
 * parser_unmap_answer() (parser_protocol.h). */
void parser_take_answer(struct parser *parser);

/* Runs the loop's parser part until no request is pending or `timeout_ns` passed. Returns 0,
 * -ETIMEDOUT or -errno (-EBUSY from within a callback). */
int parser_drain(struct parser *parser, uint64_t timeout_ns);

/* For who waits for all that is pending and drives the parser himself: more requests are given to the child in
 * advance. */
void parser_set_waited_for(struct parser *parser, bool waited_for);

/* Readable when the parser's part of the loop has something to do, which parser_run_once() does without
 * waiting. Returns 0 or -errno (-EBUSY from within a callback). */
int parser_fd(const struct parser *parser);
int parser_run_once(struct parser *parser);

#define PARSER_UNLIMITED UINT64_MAX

/* From now on children may use so much more CPU time, less what they used too much of earlier grants; what they left
 * of those is lost. Then the present one is stopped, and requests wait in their order, none is lost, until the next
 * grant. PARSER_UNLIMITED, as at first: what they need. */
void parser_grant(struct parser *parser, uint64_t cpu_ns);

/* Is nothing of the last grant left? */
bool parser_is_held(const struct parser *parser);

/* Requests that are not answered yet. */
size_t parser_pending(const struct parser *parser);
/* Since the parser was made. */
void parser_get_statistics(const struct parser *parser, struct parser_statistics *ret);

/* What the child runs: reads requests from descriptor 3 until it closes. Returns an exit status. */
int parser_child_main(void);
