/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process as the host unwinder sees it: mappings, the unwind tables of their files in an arena, and
 * memory that is read from whoever provides it.
 */
#pragma once

#include "base/array.h"
#include "binary/unwind_layout.h"
#include "kernel_objects.h"

struct world_file {
	char *name; /* of the mapping's file; "[vdso]" */
	struct replay_binary binary;
	struct unwind_image image; /* the table; body NULL: none */
};

struct world {
	struct replay_world replay;
	ARRAY(struct replay_mapping) mappings; /* ascending */
	ARRAY(struct world_file) files;
	ARRAY(char *) chunks;
	ARRAY(struct replay_binary) binaries;
	unsigned char *kernel;
};

void world_free(struct world *world);

/* The file called `name`, added with state BINARY_FRAME_POINTERS when new. NULL: out of memory. */
struct world_file *world_file(struct world *world, const char *name);

/* Puts a finished table into the arena, as the daemon does; `image` becomes the file's. Returns 0 or
 * -ENOMEM. */
int world_add_table(struct world *world, struct world_file *file, struct unwind_image *image);

/* One rule of a table that is made by hand: it holds from `offset` to the next one or the page's end. */
struct world_rule {
	uint64_t offset;
	struct unwind_rule rule;
};

/* A table from rules in ascending order, by the builder's own layout. Returns 0 or -errno. */
int world_add_rules(struct world *world, struct world_file *file, const struct world_rule *rules,
		    size_t count);

/* The rule of a file's table at an offset, by the daemon's own search. */
struct unwind_rule world_rule_at(const struct world_file *file, uint64_t offset);

/* Mappings in any order; they are sorted by world_finish(). `file` may be NULL. */
int world_add_mapping(struct world *world, uint64_t start, uint64_t end, uint64_t offset,
		      bool executable, const struct world_file *file);

/* Makes the kernel's objects; after this only `read_user` may be set. Returns 0 or -ENOMEM. */
int world_finish(struct world *world, bool red_black_tree);

/* Makes them anew of mappings that have changed, as many as before: what walks keep of them stays. */
void world_change(struct world *world);

/* The frame word of an address, as the kernel side must give it. */
uint64_t world_frame_word(const struct world *world, uint64_t address);

/* Mappings and tables of a process; `pid` must be stopped. Returns 0 or -errno. */
int world_of_process(struct world *world, pid_t pid, bool red_black_tree);
