/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rule: a strategy (strategy.h), and of which kind of profile and which processes it is. Rules in a list are
 * strategies.h.
 */
#pragma once

#include "base/array.h"
#include "profile/profile_kind.h"
#include "profile/strategy.h"

/* A pattern on one attribute that process_origin_visit() tells. */
struct strategy_attribute {
	char *key, *pattern;
};

/* Shell patterns; all that are given must match. NULL: anything does. */
struct strategy_match {
	char *executable; /* its path or base name */
	char *cgroup;	  /* its path from the hierarchy's root */
	char *unit;	  /* the systemd unit outside containers: "nginx.service" */
	char *container;  /* its id, or its name where the engine or Kubernetes tells one */
	ARRAY(struct strategy_attribute) attributes;
};

struct strategy_rule {
	char *name; /* for people and metrics */
	enum profile_kind kind; /* whose samples; of the heap, whose allocators are probed: by process or interval */
	struct strategy_match match;
	bool goes_on; /* what is taken is offered to the next rule that matches, weighing what it does by then */
	struct strategy_options options; /* but for the seed */
};

/* Frees what the rule owns, not the rule. */
void strategy_rule_free(struct strategy_rule *rule);

/* Do they say the same, under one name? Seeds are no part of it. */
bool strategy_rules_equal(const struct strategy_rule *a, const struct strategy_rule *b);

/* "probabilistic, 10 % by process", for people. */
void strategy_rule_describe(const struct strategy_rule *rule, char *buffer, size_t size);
