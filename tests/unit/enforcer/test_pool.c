// SPDX-License-Identifier: Apache-2.0
// How long an origin is remembered.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "enforcer/limits.h"
#include "enforcer/pool.h"

static struct sg_pool_origin *get(struct sg_pool *pool, uint16_t port)
{
	struct sg_pool_origin *origin = NULL;
	struct sg_pool_key key;

	memset(&key, 0, sizeof(key));
	key.port = port;
	assert_int_equal(sg_pool_origin_get(pool, &key, 0, &origin), 0);
	return origin;
}

// An agent that connects to one destination after another leaves nothing behind.
static void an_origin_ends_with_its_last_user(void **state)
{
	struct sg_pool pool = { NULL };
	struct sg_pool_origin *origin = NULL;

	(void)state;
	for (uint16_t port = 1; port <= 1000; port++) {
		origin = get(&pool, port);
		assert_ptr_equal(get(&pool, port), origin);
		sg_pool_origin_put(&pool, origin, 0);
		assert_int_equal(HASH_COUNT(pool.by_key), 1);
		sg_pool_origin_put(&pool, origin, 0);
		assert_int_equal(HASH_COUNT(pool.by_key), 0);
	}
}

static void what_the_next_one_gains_by_is_kept_for_a_while(void **state)
{
	struct sg_pool pool = { NULL };
	struct sg_pool_origin *with_session = get(&pool, 1), *of_http2 = get(&pool, 2);

	(void)state;
	sg_pool_origin_remember(with_session, SSL_SESSION_new());
	of_http2->speaks_h2 = true;
	sg_pool_origin_put(&pool, with_session, 0);
	sg_pool_origin_put(&pool, of_http2, 0);
	assert_ptr_equal(get(&pool, 1), with_session);
	sg_pool_sweep(&pool, SG_UPSTREAM_ORIGIN_IDLE);
	assert_int_equal(HASH_COUNT(pool.by_key), 2);
	sg_pool_sweep(&pool, SG_UPSTREAM_ORIGIN_IDLE + 1);
	assert_int_equal(HASH_COUNT(pool.by_key), 1);
	sg_pool_origin_put(&pool, with_session, 0);
	sg_pool_sweep(&pool, SG_UPSTREAM_ORIGIN_IDLE + 1);
	assert_int_equal(HASH_COUNT(pool.by_key), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_origin_ends_with_its_last_user),
		cmocka_unit_test(what_the_next_one_gains_by_is_kept_for_a_while),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
