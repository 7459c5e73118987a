/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the edit distance; see nearest_word.h. */
#include "base/nearest_word.h"

#include "base/attributes.h"

#include <string.h>

#define MAX_WORD 64 /* longer words are no slip of the finger */

/* Damerau-Levenshtein distance (optimal string alignment): a swap of neighbours counts one. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t rows[3][MAX_WORD + 1];
	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
			best = MIN_OF(best, above[j] + 1);
			best = MIN_OF(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN_OF(best, above2[j - 2] + 1);
			row[j] = best;
		}
	}
	return rows[a_length % 3][b_length];
}

const char *nearest_word(const char *word, const char *const *candidates, size_t count)
{
	size_t length = strlen(word);
	if (length == 0 || length > MAX_WORD)
		return NULL;
	const char *nearest = NULL;
	size_t best = length / 3 + 2; /* one slip in a short word, three in a long one */
	for (size_t i = 0; i < count; i++) {
		size_t candidate_length = strlen(candidates[i]);
		if (candidate_length > MAX_WORD)
			continue;
		size_t distance = edit_distance(word, length, candidates[i], candidate_length);
		/* With every letter another one it is another word: "top" for "foo". */
		if (distance < best && 2 * distance <= MIN_OF(length, candidate_length)) {
			best = distance;
			nearest = candidates[i];
		}
	}
	return nearest;
}
