// SPDX-License-Identifier: Apache-2.0
#include "enforcer/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "enforcer/limits.h"

int sg_pool_origin_get(struct sg_pool *pool, const struct sg_pool_key *key, int64_t now_ms,
	struct sg_pool_origin **ret_origin)
{
	struct sg_pool_origin *origin;

	HASH_FIND(hh, pool->by_key, key, sizeof(*key), origin);
	if (!origin) {
		origin = calloc(1, sizeof(*origin));
		if (!origin)
			return -ENOMEM;
		origin->key = *key;
		if (key->context)
			SSL_CTX_up_ref(key->context);
		HASH_ADD(hh, pool->by_key, key, sizeof(origin->key), origin);
	}
	origin->users++;
	origin->last_used_ms = now_ms;
	*ret_origin = origin;
	return 0;
}

void sg_pool_origin_remember(struct sg_pool_origin *origin, SSL_SESSION *session)
{
	SSL_SESSION_free(origin->session);
	origin->session = session;
}

static void forget(struct sg_pool *pool, struct sg_pool_origin *origin)
{
	HASH_DEL(pool->by_key, origin);
	SSL_SESSION_free(origin->session);
	SSL_CTX_free(origin->key.context);
	free(origin);
}

// Does the next connection gain by it: by a round trip less, or a protocol that is known?
static bool is_worth_keeping(const struct sg_pool_origin *origin)
{
	return origin->session || origin->speaks_h2;
}

void sg_pool_origin_put(struct sg_pool *pool, struct sg_pool_origin *origin, int64_t now_ms)
{
	origin->last_used_ms = now_ms;
	if (!--origin->users && !is_worth_keeping(origin))
		forget(pool, origin);
}

void sg_pool_sweep(struct sg_pool *pool, int64_t now_ms)
{
	struct sg_pool_origin *origin, *next;

	HASH_ITER(hh, pool->by_key, origin, next)
	if (!origin->users && now_ms - origin->last_used_ms > SG_UPSTREAM_ORIGIN_IDLE)
		forget(pool, origin);
}

void sg_pool_done(struct sg_pool *pool)
{
	struct sg_pool_origin *origin, *next;

	HASH_ITER(hh, pool->by_key, origin, next)
	forget(pool, origin);
}
