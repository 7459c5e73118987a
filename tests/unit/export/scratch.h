/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the export room share: a directory of their own, payloads with known contents, and
 * the equation that must always hold. Include after cmocka. */
#pragma once

#include "export/spool.h"

/* A new directory below TMPDIR; the caller frees the path after scratch_remove(). */
char *scratch_make(void);

/* Removes the directory with all that is in it, and frees the path. */
void scratch_remove(char *path);

/* `path`/spool with its only segment's name in `name`; fails when there are several. */
void scratch_segment(const char *directory, char name[static 512]);

/* Payload number `number`: `size` bytes that follow from it, number samples. Frees with free(). */
struct payload make_payload(uint32_t number, size_t size);

/* Fails unless the bytes are those of make_payload(); returns the number. */
uint32_t check_payload(const struct payload *payload);

void spool_add(struct spool *spool, uint32_t number, size_t size);

/* taken + recovered = sent + waiting + dropped, in samples. */
void check_balance(const struct spool_statistics *statistics);
struct spool_statistics balanced_statistics(struct spool *spool);

/* Takes out the oldest and says it arrived; its number, or 0 when nothing waits. */
uint32_t send_one(struct spool *spool);
