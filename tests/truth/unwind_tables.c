/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unwind tables against elfutils' reader of call frame information, for ELF files of this machine.
 *
 * For every range of addresses in which libdw's rules do not change, the rule that the finished table
 * gives for each byte is carried out beside libdw's in a made-up machine: they must find the same CFA,
 * return address and frame pointer. What may differ has a name, and is counted under it.
 *
 * With --by-code the table is made without any of the file's call frame information, by following its
 * machine code alone, whatever that takes. Then a rule may be missing, but none may be wrong; and nothing is
 * proved where too many are missing.
 *
 * Usage: unwind_tables [--by-code] [--every N] [FILE|DIRECTORY …]; without arguments one file in 24 under
 * /usr.
 */
#include "base/file.h"
#include "binary/unwind_build.h"
#include "binary/unwind_gaps.h"
#include "cfi_functions.h"
#include "frame_machine.h"

#include <dwarf.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN_DISAGREEMENTS 40
#define LEAST_ANSWERED 45 /* percent of the bytes with --by-code; a sample has 68, all of /usr 51 */

#define LARGE_GAP (64U << 10) /* bytes without FDE from which a frame pointer may be the rule */

#define OUTCOMES(X)                                                                         \
	X(AGREED, "the same caller")                                                        \
	X(OUTERMOST, "outermost frame in both")                                             \
	X(NOTHING_KNOWN, "no rule in either")                                               \
	X(SIGNAL, "the kernel's signal frame, by its own layout")                           \
	X(BELOW_STACK, "return address below the stack pointer: outermost for us")                    \
	X(NOT_REPRESENTABLE, "no rule: CFA, stack or frame pointer by an unusual expression") \
	X(FRAME_POINTER_LOST, "no rule: frame pointer undefined, in a register, or 32 KiB away") \
	X(LIBDW_REFUSES, "libdw refuses: a CFA offset after a CFA expression, as in libgcrypt") \
	X(OVERLAP, "more than one FDE for the address")                                     \
	X(TRAMPOLINE_EDGE, "byte before a signal trampoline")                               \
	X(GO_FRAME_POINTER, "the same caller, and a frame pointer that Go's .debug_frame leaves out") \
	X(GO_SWITCH, "Go function that switches stacks: frame pointer")                     \
	X(CODE, "by its machine code, where no FDE is")                                     \
	X(FRAME_SETUP, "frame pointer, in large code without FDE that sets up frames")      \
	X(UNANSWERED, "no rule found by following the code")                                \
	X(TWO_PLACES, "the same caller; its frame pointer is in the register and in memory")   \
	X(OTHER_BASE, "CFA from SP or FP, which libdw has from another register")           \
	X(NEW_CONTEXT, "code on a new stack, which CFI alone calls outermost")               \
	X(SILENT, "CFI says nothing of the function's pushes, as of glibc's mpn assembly")  \
	X(DISAGREED, "DISAGREEMENT")                                                        \
	X(MISSING, "DISAGREEMENT: no rule where libdw has a plain one")                     \
	X(INVENTED, "DISAGREEMENT: a rule where libdw has none")

#define OUTCOME_ENUM(id, text) OUTCOME_##id,
enum outcome { OUTCOMES(OUTCOME_ENUM) OUTCOME_MAX };
#undef OUTCOME_ENUM

#define OUTCOME_TEXT(id, text) text,
static const char *const outcome_text[] = {OUTCOMES(OUTCOME_TEXT)};
#undef OUTCOME_TEXT

struct comparison {
	uint64_t files, tables, refused, ranges, bytes;
	uint64_t answered; /* bytes with a rule */
	uint64_t unanswered; /* bytes of files without any */
	uint64_t outcomes[OUTCOME_MAX];
	unsigned shown;
	unsigned every; /* of how many files one is compared */
	bool by_code;

	/* The file at hand. */
	const char *path;
	struct elf_file elf;
	struct unwind_table table;
	Dwarf_CFI *cfi;
	bool go; /* libdw's side is the .debug_frame of Go */
	struct code_ranges functions;
};

static void show(struct comparison *c, enum outcome outcome, uint64_t pc,
		 const struct caller *theirs, struct unwind_rule rule, const struct caller *ours)
{
	if (c->shown++ >= SHOWN_DISAGREEMENTS)
		return;
	printf("%s: %#llx: %s\n", c->path, (unsigned long long)pc, outcome_text[outcome]);
	printf("  rule kind %u flags %#x fp %d cfa %d\n", rule.kind, rule.flags, rule.fp_offset,
	       rule.cfa_offset);
	if (theirs && ours)
		printf("  kind %d/%d, libdw - ours: cfa %+lld, return address %s, frame pointer %s\n",
		       theirs->kind, ours->kind, (long long)(theirs->cfa - ours->cfa),
		       theirs->return_address == ours->return_address ? "same" : "differs",
		       theirs->frame_pointer == ours->frame_pointer ? "same" : "differs");
}

static bool is_failure(enum outcome outcome)
{
	return outcome >= OUTCOME_DISAGREED;
}

static struct unwind_rule rule_at(const struct comparison *c, uint64_t pc)
{
	uint64_t offset;
	if (!elf_file_address_to_offset(&c->elf, pc, &offset))
		return (struct unwind_rule){0};
	return unwind_table_find(&c->table, offset);
}

/* Is the frame pointer where a rule can say it is? */
static bool frame_pointer_plain(const struct comparison *c, Dwarf_Frame *frame)
{
	Dwarf_Op memory[3], *ops;
	size_t count;
	int number = frame_registers_of(c->elf.machine).frame;
	if (dwarf_frame_register(frame, number, memory, &ops, &count) != 0)
		return false;
	if (!ops)
		return true;
	if (!count || ops[0].atom == DW_OP_regx ||
	    (ops[0].atom >= DW_OP_reg0 && ops[0].atom <= DW_OP_reg31))
		return false;
	int64_t offset = ops[count - 1].number;
	return offset == (int16_t)offset;
}

/* A rule there should have been for this row. */
static bool is_plain(const struct comparison *c, Dwarf_Frame *frame, const struct caller *theirs)
{
	Dwarf_Op *ops;
	size_t count;
	bool signal;
	int return_register = frame_registers_of(c->elf.machine).return_address;
	if (dwarf_frame_cfa(frame, &ops, &count) != 0 || count != 1 ||
	    dwarf_frame_info(frame, NULL, NULL, &signal) != return_register)
		return false;
	int64_t offset = ops->number;
	return theirs->kind == CALLER_FOUND && theirs->stack_is_cfa &&
	       offset == (int32_t)offset;
}

static uint64_t stack_pointer(const struct comparison *c)
{
	struct frame_machine m;
	frame_machine_init(&m, c->elf.machine, 0);
	return m.registers[frame_registers_of(c->elf.machine).stack];
}

static bool libdw_refuses(Dwarf_Frame *frame)
{
	Dwarf_Op *ops;
	size_t count;
	return dwarf_frame_cfa(frame, &ops, &count) != 0;
}

static enum outcome judge(const struct comparison *c, Dwarf_Frame *frame, bool signal,
			  const struct caller *theirs, const struct caller *ours)
{
	if (ours->kind == CALLER_SIGNAL)
		return signal ? OUTCOME_SIGNAL : OUTCOME_INVENTED;
	if (ours->kind == CALLER_UNKNOWN) {
		if (theirs->kind == CALLER_UNKNOWN)
			return OUTCOME_NOTHING_KNOWN;
		if (!is_plain(c, frame, theirs))
			return OUTCOME_NOT_REPRESENTABLE;
		return frame_pointer_plain(c, frame) ? OUTCOME_MISSING : OUTCOME_FRAME_POINTER_LOST;
	}
	if (theirs->kind == CALLER_UNKNOWN)
		return libdw_refuses(frame) ? OUTCOME_LIBDW_REFUSES : OUTCOME_INVENTED;
	if (ours->kind == CALLER_NONE) {
		if (theirs->kind == CALLER_NONE)
			return OUTCOME_OUTERMOST;
		int64_t above = theirs->cfa - stack_pointer(c);
		return c->elf.machine != EM_AARCH64 && above >= -4096 && above < frame_word_size(c->elf.machine)
			       ? OUTCOME_BELOW_STACK
			       : OUTCOME_DISAGREED;
	}
	return theirs->kind == CALLER_FOUND && theirs->cfa == ours->cfa &&
			       theirs->return_address == ours->return_address &&
			       theirs->frame_pointer_known && theirs->stack_is_cfa &&
			       theirs->frame_pointer == ours->frame_pointer
		       ? OUTCOME_AGREED
		       : OUTCOME_DISAGREED;
}

/* Go's .debug_frame has no frame pointers, no outermost frames and no stack switches. */
static enum outcome judge_go(const struct comparison *c, struct unwind_rule rule,
			     const struct caller *theirs, const struct caller *ours,
			     enum outcome outcome)
{
	if (rule.kind == RULE_FRAME_POINTER)
		return OUTCOME_GO_SWITCH;
	if (rule.kind == RULE_END)
		return OUTCOME_OUTERMOST;
	if (rule.kind == RULE_SIGNAL)
		return OUTCOME_SIGNAL;
	/* syscall.rawVforkSyscall pops its return address. */
	if (rule.kind == RULE_NONE && theirs->cfa == stack_pointer(c))
		return OUTCOME_BELOW_STACK;
	return rule.kind == RULE_CFA_SP && theirs->cfa == ours->cfa && rule.fp_offset == -16
		       ? OUTCOME_GO_FRAME_POINTER
		       : outcome;
}

/* The caller's frame pointer is saved before CFI says so, and popped before CFI says so: the bytes below
 * the stack pointer still hold it. */
static bool in_two_places(Dwarf_Frame *frame, const struct frame_machine *m, const struct caller *theirs,
			  const struct unwind_rule rule)
{
	Dwarf_Op memory[3], *ops;
	size_t count;
	if (rule.flags & RULE_FP_AT_CFA)
		return theirs->frame_pointer == m->registers[6];
	if (dwarf_frame_register(frame, 6, memory, &ops, &count) != 0 || !ops || count != 2 ||
	    ops[0].atom != DW_OP_call_frame_cfa)
		return false;
	return (int64_t)(theirs->cfa + ops[1].number - m->registers[7]) < 0;
}

/* Without CFI a rule may be missing. */
static enum outcome judge_by_code(Dwarf_Frame *frame, const struct frame_machine *m,
				  struct unwind_rule rule, const struct caller *theirs,
				  const struct caller *ours, enum outcome outcome, bool whole)
{
	Dwarf_Op *ops;
	size_t count;
	if (ours->kind == CALLER_UNKNOWN)
		return OUTCOME_UNANSWERED;
	if (outcome != OUTCOME_DISAGREED)
		return outcome;
	if (theirs->kind == CALLER_NONE)
		return OUTCOME_NEW_CONTEXT;
	if (whole && theirs->cfa == m->registers[7] + 8)
		return OUTCOME_SILENT;
	if (theirs->cfa == ours->cfa && in_two_places(frame, m, theirs, rule))
		return OUTCOME_TWO_PLACES;
	if (dwarf_frame_cfa(frame, &ops, &count) != 0 || !count)
		return outcome;
	uint8_t base = rule.kind == RULE_CFA_FP ? DW_OP_breg6 : DW_OP_breg7;
	return ops[0].atom != base ? OUTCOME_OTHER_BASE : outcome;
}

/* One range without a change of libdw's rules; ours is asked for at every byte. */
static void compare_range(struct comparison *c, Dwarf_Frame *frame, bool signal,
			  struct code_range range, bool overlapped, bool whole)
{
	struct frame_machine m;
	struct caller theirs, ours;
	struct unwind_rule last = {.kind = RULE_KIND_MAX};
	frame_machine_init(&m, c->elf.machine, range.start);
	caller_by_libdw(&m, frame, &theirs);
	for (uint64_t pc = range.start; pc < range.end; pc++) {
		struct unwind_rule rule = rule_at(c, pc);
		c->answered += rule.kind != RULE_NONE;
		if (!memcmp(&rule, &last, sizeof(rule)) && !theirs.depends_on_pc)
			continue;
		last = rule;
		frame_machine_init(&m, c->elf.machine, pc);
		if (theirs.depends_on_pc)
			caller_by_libdw(&m, frame, &theirs);
		caller_by_rule(&m, rule, &ours);
		enum outcome outcome = judge(c, frame, signal, &theirs, &ours);
		if (c->by_code)
			outcome = judge_by_code(frame, &m, rule, &theirs, &ours, outcome, whole);
		if (is_failure(outcome) && c->go)
			outcome = judge_go(c, rule, &theirs, &ours, outcome);
		if (is_failure(outcome) && rule.kind == RULE_SIGNAL && pc + 1 == range.end)
			outcome = OUTCOME_TRAMPOLINE_EDGE;
		if (is_failure(outcome) && overlapped)
			outcome = OUTCOME_OVERLAP;
		c->outcomes[outcome]++;
		if (is_failure(outcome))
			show(c, outcome, pc, &theirs, rule, &ours);
	}
	c->ranges++;
	c->bytes += range.end - range.start;
}

static void compare_function(struct comparison *c, struct code_range function, bool overlapped)
{
	uint64_t pc = function.start, offset;
	while (pc < function.end && elf_file_address_to_offset(&c->elf, pc, &offset)) {
		Dwarf_Frame *frame = NULL;
		Dwarf_Addr start, end;
		bool signal;
		if (dwarf_cfi_addrframe(c->cfi, pc, &frame) != 0) {
			struct unwind_rule rule = rule_at(c, pc);
			enum outcome outcome = rule.kind == RULE_NONE ? OUTCOME_NOTHING_KNOWN
								      : OUTCOME_INVENTED;
			c->outcomes[outcome]++;
			if (is_failure(outcome))
				show(c, outcome, pc, NULL, rule, NULL);
			return;
		}
		dwarf_frame_info(frame, &start, &end, &signal);
		struct code_range range = {pc, MIN_OF(end, function.end)};
		if (range.end <= pc)
			range.end = pc + 1;
		compare_range(c, frame, signal, range, overlapped,
			      range.start == function.start && range.end == function.end);
		pc = range.end;
		free(frame);
	}
}

/* Between functions only what the machine code says by itself may stand, after the padding that keeps
 * its function's rule. */
static void compare_gap(struct comparison *c, uint64_t start, uint64_t end)
{
	if (end - start < 16 || c->go || c->by_code)
		return;
	start = (start + 15) & ~15ULL;
	for (uint64_t pc = start; pc < end; pc += MAX_OF((end - start) / 64, 1)) {
		struct unwind_rule rule = rule_at(c, pc);
		if (rule.kind == RULE_NONE)
			continue;
		bool code = rule.kind == RULE_END || rule.kind == RULE_SIGNAL ||
			    rule.kind == RULE_CFA_SP || rule.kind == RULE_CFA_FP;
		enum outcome outcome = code ? OUTCOME_CODE
				       : rule.kind == RULE_FRAME_POINTER && end - start >= LARGE_GAP
					       ? OUTCOME_FRAME_SETUP
					       : OUTCOME_INVENTED;
		c->outcomes[outcome]++;
		if (is_failure(outcome))
			show(c, outcome, pc, NULL, rule, NULL);
	}
}

static void compare_functions(struct comparison *c)
{
	const struct code_range *f = c->functions.list.items;
	size_t count = c->functions.list.count;
	uint64_t covered = count ? f[0].start : 0;
	for (size_t i = 0; i < count; i++) {
		if (f[i].start > covered)
			compare_gap(c, covered, f[i].start);
		bool overlapped = f[i].start < covered ||
				  (i + 1 < count && f[i + 1].start < f[i].end);
		compare_function(c, f[i], overlapped);
		covered = MAX_OF(covered, f[i].end);
	}
}

/* What unwind_build() made must also pass as the artifact that the daemon receives. */
static int check_table(const struct unwind_image *image, struct text *artifact,
		       struct unwind_table *ret)
{
	struct artifact checked;
	artifact_begin(artifact, ARTIFACT_UNWIND);
	artifact_add_section(artifact, SECTION_UNWIND_HEADER, &image->header,
			     sizeof(image->header));
	artifact_add_section(artifact, SECTION_UNWIND_BODY, image->body, image->body_size);
	int r = artifact_finish(artifact);
	if (r == 0)
		r = artifact_check(artifact->bytes, artifact->length, ARTIFACT_UNWIND, &checked);
	return r < 0 ? r : unwind_table_check(&checked, ret);
}

static void compare_table(struct comparison *c, Elf *libelf)
{
	Elf64_Shdr section;
	c->tables++;
	c->functions.list.count = 0;
	c->go = elf_file_find_section(&c->elf, ".gopclntab", &section, NULL);
	bool eh_frame = cfi_functions(libelf, ".eh_frame", &c->functions);
	c->cfi = eh_frame ? dwarf_getcfi_elf(libelf) : NULL;
	if (c->cfi) {
		compare_functions(c);
		dwarf_cfi_end(c->cfi);
	}
	if (c->cfi && !c->go)
		return;
	c->functions.list.count = 0;
	Dwarf *dwarf = dwarf_begin_elf(libelf, DWARF_C_READ, NULL);
	c->cfi = dwarf ? dwarf_getcfi(dwarf) : NULL;
	if (c->cfi && cfi_functions(libelf, ".debug_frame", &c->functions))
		compare_functions(c);
	dwarf_end(dwarf);
}

static int build_by_code(const struct elf_file *elf, struct unwind_image *ret)
{
	_cleanup_free_ struct unwind_rows *rows = malloc(sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	int r = unwind_rows_init(rows, elf);
	if (r == 0)
		r = unwind_gaps_read(elf, UNWIND_GAPS_ALL, rows);
	if (r == 0)
		r = unwind_layout(rows, true, (struct unwind_rule){.kind = RULE_NONE}, ret);
	unwind_rows_free(rows);
	return r;
}

/* Of x86-64: of other machines no code is followed. */
static uint64_t code_size(const struct elf_file *elf)
{
	Elf64_Shdr section;
	uint64_t size = 0;
	for (uint32_t i = 0; elf->machine == EM_X86_64 && elf_file_section(elf, i, &section); i++)
		if (section.sh_type == SHT_PROGBITS && (section.sh_flags & SHF_EXECINSTR))
			size += section.sh_size;
	return size;
}

static void compare_bytes(struct comparison *c, void *bytes, size_t size)
{
	struct unwind_image image = {0};
	int r = elf_file_open(bytes, size, &c->elf);
	if (r == 0)
		r = c->by_code ? build_by_code(&c->elf, &image) : unwind_build(&c->elf, &image, NULL);
	if (r < 0) {
		if (c->by_code && r == -ENODATA)
			c->unanswered += code_size(&c->elf);
		if (r != -ENODATA && r != -ENOTSUP && r != -EBADMSG) {
			printf("%s: %s\n", c->path, strerror(-r));
			c->refused++;
		}
		return;
	}
	struct text artifact = {0};
	r = check_table(&image, &artifact, &c->table);
	Elf *libelf = elf_memory(bytes, size);
	if (r == 0 && libelf) {
		compare_table(c, libelf);
	} else {
		printf("%s: the table does not pass its check: %s\n", c->path, strerror(-r));
		c->refused++;
	}
	elf_end(libelf);
	text_free(&artifact);
	unwind_image_free(&image);
}

static void compare_file(struct comparison *c, const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char magic[4];
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || pread(fd, magic, 4, 0) != 4 || memcmp(magic, ELFMAG, 4))
		return;
	if (c->files++ % c->every)
		return;
	/* Private and writable: libelf decompresses in place. */
	void *bytes = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return;
	c->path = path;
	compare_bytes(c, bytes, st.st_size);
	munmap(bytes, st.st_size);
}

static int compare_names(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void compare_tree(struct comparison *c, char *path)
{
	char *paths[] = {path, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, compare_names);
	for (FTSENT *entry; tree && (entry = fts_read(tree));)
		if (entry->fts_info == FTS_F)
			compare_file(c, entry->fts_path);
	if (tree)
		fts_close(tree);
}

static int report(const struct comparison *c)
{
	uint64_t failures = c->refused;
	printf("%llu files, one in %u of them compared, %llu tables, %llu ranges, %llu bytes of code\n",
	       (unsigned long long)c->files, c->every, (unsigned long long)c->tables,
	       (unsigned long long)c->ranges, (unsigned long long)c->bytes);
	printf("%.2f %% of the bytes have a rule; %llu more are in files without any\n", c->bytes ? 100.0 * c->answered / c->bytes : 0,
	       (unsigned long long)c->unanswered);
	for (unsigned i = 0; i < OUTCOME_MAX; i++) {
		printf("%12llu %s\n", (unsigned long long)c->outcomes[i], outcome_text[i]);
		failures += is_failure(i) ? c->outcomes[i] : 0;
	}
	if (!c->outcomes[OUTCOME_AGREED]) {
		printf("nothing to compare on this machine: skipped\n");
		return 77;
	}
	if (c->by_code && c->answered * 100 < (c->bytes + c->unanswered) * LEAST_ANSWERED) {
		printf("too little is compared: %llu bytes of code in files without a rule\n",
		       (unsigned long long)c->unanswered);
		return 1;
	}
	return failures ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct comparison c = {.every = 24};
	char everything[] = "/usr";
	int first = 1;
	elf_version(EV_CURRENT);
	if (argc > 1 && !strcmp(argv[1], "--by-code")) {
		c.by_code = true;
		argv[1] = argv[0];
		argc--;
		argv++;
	}
	if (argc > 2 && !strcmp(argv[1], "--every")) {
		c.every = MAX_OF(atoi(argv[2]), 1);
		first = 3;
	} else if (argc > 1) {
		c.every = 1;
	}
	for (int i = first; i < argc; i++)
		compare_tree(&c, argv[i]);
	if (first == argc)
		compare_tree(&c, everything);
	array_free(&c.functions.list);
	return report(&c);
}
