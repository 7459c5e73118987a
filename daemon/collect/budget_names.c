/* SPDX-License-Identifier: Apache-2.0 */
/* Names and words of the lists in budget.h. */
#include "collect/budget.h"

const char *budget_rate_limit_name(enum budget_rate_limit limit)
{
	static const char *const names[] = {
#define BUDGET_RATE_LIMIT_NAME(id, name, words) name,
		BUDGET_RATE_LIMITS(BUDGET_RATE_LIMIT_NAME)
#undef BUDGET_RATE_LIMIT_NAME
	};
	return names[limit];
}

const char *budget_rate_limit_words(enum budget_rate_limit limit)
{
	static const char *const all[] = {
#define BUDGET_RATE_LIMIT_WORDS(id, name, words) words,
		BUDGET_RATE_LIMITS(BUDGET_RATE_LIMIT_WORDS)
#undef BUDGET_RATE_LIMIT_WORDS
	};
	return all[limit];
}

const char *budget_lever_name(enum budget_lever lever)
{
	static const char *const names[] = {
#define BUDGET_LEVER_NAME(id, name, words) name,
		BUDGET_LEVERS(BUDGET_LEVER_NAME)
#undef BUDGET_LEVER_NAME
	};
	return names[lever];
}

const char *budget_lever_words(enum budget_lever lever)
{
	static const char *const all[] = {
#define BUDGET_LEVER_WORDS(id, name, words) words,
		BUDGET_LEVERS(BUDGET_LEVER_WORDS)
#undef BUDGET_LEVER_WORDS
	};
	return all[lever];
}
