/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of a call tree with what they cost: alone (flat) and with everything they called
 * (cumulative, counted once where a function calls itself); and the neighbours of one function. Over
 * a tree of two profiles it is the table of a difference: shares are taken of each profile's own
 * total, so that profiles of unequal length compare.
 *
 * A function is a name and a frame type: the kernel's memcpy is not libc's.
 */
#pragma once

#include "profile/call_tree.h"

#define REPORT_NONE UINT32_MAX

struct report_function {
	uint32_t name; /* string of the tree's names */
	uint8_t type;  /* enum frame_type */
	int64_t flat, cumulative;
	int64_t flat_b, cumulative_b; /* of profile B; 0 in a tree of one profile */
};

struct report {
	const struct call_tree *tree; /* borrowed */
	ARRAY(struct report_function) functions;
	uint32_t *function_of_node; /* REPORT_NONE for the root */
	/* What shares are of: the root's total, or where some values are negative, as those of a difference are, the
	 * sum of all without their signs; `has_negative` says so. Of a tree of one profile. */
	int64_t whole;
	bool has_negative;
	/* Of a tree of two: set it after report_new() to have changes of values, not of shares. */
	bool compares_values;
};

/* Returns 0 or -ENOMEM. The caller frees, before the tree. */
int report_new(const struct call_tree *tree, struct report **ret);

/* Accepts NULL. Returns NULL. */
struct report *report_free(struct report *report);

static inline void report_free_cleanup(struct report **report)
{
	report_free(*report);
}
#define _cleanup_report_ _cleanup_(report_free_cleanup)

enum report_order {
	REPORT_BY_FLAT,
	REPORT_BY_CUMULATIVE,
	REPORT_BY_FLAT_CHANGE, /* of the share */
	REPORT_BY_CUMULATIVE_CHANGE,
	REPORT_ORDER_MAX
};

/* Indices of all functions in the order, whatever the sign of their values; equal ones by the other of
 * the two costs, of a change by both shares, then by name. *ret has functions.count items; the
 * caller frees. Returns 0 or -ENOMEM. */
int report_sort(const struct report *report, enum report_order order, uint32_t **ret);

enum report_side { REPORT_CALLERS, REPORT_CALLEES };

/* What flows between `function` and each of its callers or callees: *ret has a value for each function,
 * 0 for no neighbour, that counts a recursive path once. The caller frees. Returns 0 or -ENOMEM. */
int report_neighbours(const struct report *report, uint32_t function, enum report_side side,
		      int64_t **ret);

/* Change of a function's share from A to B, in parts of 1, or of its value. */
double report_change(const struct report *report, int64_t a, int64_t b);

static inline const char *report_name(const struct report *report, uint32_t function)
{
	return strings_get(&report->tree->names, report->functions.items[function].name);
}
