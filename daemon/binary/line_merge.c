/* SPDX-License-Identifier: Apache-2.0 */
/* A merge of three sorted lists of addresses; what stands at the least of them goes out. */
#include "binary/line_merge.h"

#include "binary/line_output.h"

#include <errno.h>

struct cursor {
	const struct line_answers *answers; /* NULL: none */
	size_t next;
};

/* The next address of the list, or UINT64_MAX with `*end`. */
static uint64_t next_address(const struct cursor *c, bool *end)
{
	if (!c->answers || c->next >= c->answers->answer_count)
		return UINT64_MAX;
	*end = false;
	return line_answers_address(c->answers, c->next);
}

/* Damaged artifacts may be out of order: they end early, but end. */
static void skip(struct cursor *c, uint64_t address)
{
	while (c->answers && c->next < c->answers->answer_count &&
	       line_answers_address(c->answers, c->next) <= address)
		c->next++;
}

static int add_answer(struct line_output *o, const struct line_answers *from, uint64_t address)
{
	struct line_frame frames[LINE_MAX_INLINE_DEPTH];
	struct line_answer answer;
	size_t count = from ? line_answers_find(from, address, frames, ARRAY_LENGTH(frames)) : 0;
	int r = line_output_begin(o, address, &answer);
	for (size_t i = 0; i < count && r == 0; i++)
		r = line_output_add_frame(o, &frames[i]);
	return r < 0 ? r : line_output_end(o, &answer);
}

static int merge(struct cursor *known, struct cursor *found, const uint64_t *addresses,
		 size_t count, struct line_output *o)
{
	size_t asked = 0;
	int r = 0;
	while (r == 0) {
		bool end = asked == count;
		uint64_t old = next_address(known, &end), new = next_address(found, &end);
		if (end)
			break;
		uint64_t wanted = asked < count ? addresses[asked] : UINT64_MAX;
		uint64_t address = MIN_OF(MIN_OF(old, new), wanted);
		const struct line_answers *from = new == address   ? found->answers
						  : old == address ? known->answers
								   : NULL;
		r = add_answer(o, from, address);
		skip(known, address);
		skip(found, address);
		while (asked < count && addresses[asked] <= address)
			asked++;
	}
	return r;
}

int line_answers_merge(const struct line_answers *known, const struct line_answers *found,
		       const uint64_t *addresses, size_t count, struct text *artifact)
{
	struct line_output output = {0};
	struct cursor old = {.answers = known}, new = {.answers = found};
	int r = merge(&old, &new, addresses, count, &output);
	if (r == 0)
		r = line_output_finish(&output, artifact);
	line_output_free(&output);
	return r;
}
