/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side's walk, compiled for the host, against libdw's on the same stopped process: random
 * stops, and from each of them on instruction by instruction. Each frame must be the same, down to the
 * thread's entry.
 *
 * Usage: replay_live [--stops N] [--steps N] [--red-black-tree] [--save FILE] PROGRAM [ARGUMENT …]
 * --save writes the last stack that was compared as a case (stack_case.h).
 */
#include "base/file.h"
#include "libdw_frames.h"
#include "stack_case.h"
#include "stopped_process.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHOWN_DIFFERENCES 5

struct comparison {
	struct stopped_process process;
	struct world world;
	Dwfl *dwfl;
	unsigned stops, steps;
	const char *save;
	struct stack_case last; /* with `save`: what the last walk read */
	uint64_t compared, frames, broken, different;
};

static int read_live(void *userdata, void *to, u64 size, u64 address)
{
	struct comparison *c = userdata;
	struct iovec local = {to, size}, remote = {(void *)(uintptr_t)address, size};
	if (process_vm_readv(c->process.pid, &local, 1, &remote, 1, 0) != (ssize_t)size)
		return -1;
	return c->save ? stack_case_add_memory(&c->last, address, to, size) : 0;
}

static void show(const struct comparison *c, const struct replay_stack *ours,
		 const struct libdw_frames *theirs)
{
	static const char *const ends[] = {
#define END_TEXT(id, text) text,
		BOLOMETER_STACK_ENDS(END_TEXT)
#undef END_TEXT
	};
	printf("%u frames, %s; libdw %u, %s\n", ours->count, ends[ours->end], theirs->count,
	       theirs->error ? theirs->error : "complete");
	for (u32 i = 0; i < MAX_OF(ours->count, theirs->count) && i < 16; i++)
		printf("  %2u  %#llx  libdw %#llx at %#llx\n", i,
		       i < ours->count ? (unsigned long long)ours->frames[i] : 0ULL,
		       i < theirs->count ? (unsigned long long)world_frame_word(
						   &c->world, theirs->addresses[i])
					 : 0ULL,
		       i < theirs->count ? (unsigned long long)theirs->addresses[i] : 0ULL);
}

static const char *file_of(const struct comparison *c, u64 frame)
{
	for (size_t i = 0; i < c->world.files.count; i++)
		if (frame >> FRAME_OFFSET_BITS == c->world.files.items[i].binary.entry.slot)
			return c->world.files.items[i].name;
	return "";
}

/* libgcc throws: it has put the landing pad where a return address was, and until it is there by a jump no CFI says
 * where the frame is (uw_install_context() of unwind-dw2.c). */
static bool is_landing(const struct comparison *c, const struct replay_stack *ours)
{
	for (u32 i = 0; i < ours->count && i < 2; i++)
		if (strstr(file_of(c, ours->frames[i]), "libgcc_s"))
			return true;
	return false;
}

/* In code without a file and amid a change of the frame pointer both must give up, at the same frame. */
static bool same(const struct comparison *c, const struct replay_stack *ours,
		 const struct libdw_frames *theirs)
{
	if (!ours->count || ours->count != theirs->count)
		return false;
	bool in_file = ours->frames[ours->count - 1] >> 60 == FRAME_FILE;
	if ((ours->end != STACK_END_COMPLETE || theirs->error) &&
	    (ours->end != STACK_END_BAD_FRAME_POINTER || !theirs->error || in_file))
		return false;
	for (u32 i = 0; i < ours->count; i++)
		if (ours->frames[i] != world_frame_word(&c->world, theirs->addresses[i]))
			return false;
	return true;
}

static int compare(struct comparison *c)
{
	static struct replay_stack ours;
	static struct libdw_frames theirs;
	u64 registers[REPLAY_REGISTERS];
	int r = stopped_process_registers(&c->process, registers);
	if (r < 0)
		return r;
	stack_case_free(&c->last);
	replay_unwind(&c->world.replay, registers, &ours);
	memcpy(c->last.registers, registers, sizeof(registers));
	c->last.expected = ours;
	libdw_walk(c->dwfl, c->process.pid, &theirs);
	c->compared++;
	c->frames += ours.count;
	c->broken += theirs.error != NULL;
	if (!same(c, &ours, &theirs) && !(ours.end != STACK_END_COMPLETE && is_landing(c, &ours)) &&
	    c->different++ < SHOWN_DIFFERENCES)
		show(c, &ours, &theirs);
	return 0;
}

/* Mappings and modules as they are now: programs map and unmap. */
static int look_at_mappings(struct comparison *c, bool red_black_tree)
{
	dwfl_end(c->dwfl);
	c->dwfl = libdw_open(c->process.pid);
	int r = world_of_process(&c->world, c->process.pid, red_black_tree);
	c->world.replay.read_user = read_live;
	c->world.replay.userdata = c;
	return r < 0 ? r : c->dwfl ? 0 : -EIO;
}

static int compare_stops(struct comparison *c, bool red_black_tree)
{
	int r = 0;
	for (unsigned stop = 0; stop < c->stops && r == 0; stop++) {
		usleep(stop ? 1000 + stop * 97 % 1000 : 60000);
		r = stopped_process_stop(&c->process);
		if (r == 0)
			r = look_at_mappings(c, red_black_tree);
		if (r == 0)
			r = compare(c);
		for (unsigned step = 0; step < c->steps && r == 0; step++) {
			r = stopped_process_step(&c->process);
			if (r == 0)
				r = compare(c);
		}
		if (r == 0)
			r = stopped_process_continue(&c->process);
	}
	return r;
}

static int save(const struct comparison *c)
{
	struct text text = {0};
	stack_case_write(&c->last, &c->world, &text);
	int r = text.failed ? -ENOMEM
			    : write_file_atomically(c->save, text.bytes, text.length, 0644);
	text_free(&text);
	return r;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"stops", required_argument, NULL, 's'},
						{"steps", required_argument, NULL, 'i'},
						{"save", required_argument, NULL, 'w'},
						{"red-black-tree", no_argument, NULL, 'r'},
						{0}};
	static struct comparison c = {.stops = 20, .steps = 50};
	bool red_black_tree = false;
	for (int option; (option = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
		if (option == 's')
			c.stops = (unsigned)atoi(optarg);
		else if (option == 'i')
			c.steps = (unsigned)atoi(optarg);
		else if (option == 'w')
			c.save = optarg;
		else if (option == 'r')
			red_black_tree = true;
		else
			return 2;
	}
	if (optind == argc)
		return 2;
	int r = stopped_process_start(&c.process, argv + optind);
	if (r == -EPERM) {
		printf("ptrace is not permitted here: skipped\n");
		return 77;
	}
	if (r == 0)
		r = compare_stops(&c, red_black_tree);
	if (r == 0 && c.save && !c.different)
		r = save(&c);
	stopped_process_end(&c.process);
	dwfl_end(c.dwfl);
	stack_case_free(&c.last);
	world_free(&c.world);
	printf("%llu stacks of %llu frames compared, %llu different, %llu broken for both\n",
	       (unsigned long long)c.compared, (unsigned long long)c.frames,
	       (unsigned long long)c.different, (unsigned long long)c.broken);
	if (r < 0)
		printf("%s: %s\n", argv[optind], strerror(-r));
	/* A program that is broken everywhere would compare nothing. */
	return r < 0 || c.different || c.broken > c.compared / 8 || !c.compared ? 1 : 0;
}
