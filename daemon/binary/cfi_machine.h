/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine that runs call frame instructions, as its two loops share it: the one for all of them
 * (cfi_program.c), and the quick one for those that nearly all programs consist of (cfi_usual.c).
 */
#pragma once

#include "binary/cfi.h"

#define CFI_MAX_REMEMBERED 16 /* compilers nest once; hand-written code a few times */

#define CFI_USUAL_FACTOR 4 /* of code: steps are in bytes, or in instructions of arm64 */

struct cfi_remembered {
	struct cfi_state state;
	struct cfi_made_rule made;
};

struct cfi_machine {
	struct cfi_program *program;
	struct cfi_state *now;
	bool changed; /* anything, since the last row was given away */
	struct cfi_made_rule made;
	unsigned remembered;
	struct cfi_remembered stack[CFI_MAX_REMEMBERED];
};

/* Gives the row away whose code starts at `address`. Returns 0, -ENOMEM or -E2BIG. */
int cfi_emit_row(struct cfi_machine *m, uint64_t address);

/* What single instructions do. Both return 0, or an error of cfi_run(). */
int cfi_remember(struct cfi_machine *m);
int cfi_restore(struct cfi_machine *m);

/* CFA = register `number` + offset; `number` is saved at CFA + offset; `number` is where the CIE has it. */
void cfi_set_cfa(struct cfi_machine *m, uint64_t number, int64_t offset);
void cfi_set_saved(struct cfi_machine *m, uint64_t number, int64_t offset);
void cfi_restore_place(struct cfi_machine *m, uint64_t number);

/* Runs instructions up to the first one that is not usual, and gives the last row away when there is
 * none. Returns 0 or an error of cfi_run(). */
int cfi_run_usual(struct cfi_machine *m);
