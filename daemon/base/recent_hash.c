/* SPDX-License-Identifier: Apache-2.0 */
#include "base/recent_hash.h"

static void renew(struct recent_hash *h)
{
	hash_free(&h->old);
	h->old = h->young;
	h->young = (struct hash){0};
}

int recent_hash_put(struct recent_hash *h, uint64_t key, uint64_t value)
{
	if (h->young.count >= h->limit && !hash_get(&h->young, key))
		renew(h);
	return hash_put(&h->young, key, value);
}

const uint64_t *recent_hash_get(struct recent_hash *h, uint64_t key)
{
	const uint64_t *value = hash_get(&h->young, key);
	if (value)
		return value;
	value = hash_get(&h->old, key);
	if (!value)
		return NULL;
	if (recent_hash_put(h, key, *value) < 0)
		return hash_get(&h->old, key); /* its generation may have ended with that */
	return hash_get(&h->young, key);
}

void recent_hash_free(struct recent_hash *h)
{
	hash_free(&h->young);
	hash_free(&h->old);
}
