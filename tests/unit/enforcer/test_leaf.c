// SPDX-License-Identifier: Apache-2.0
// Leaves are asked for once, cached, asked for again before they end, and served meanwhile.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>

#include "base/attr.h"
#include "enforcer/leaf.h"

#define HOST "api.openai.com"
#define HOUR 3600L
#define DAY  (24 * HOUR)

// The warden's part: counts what it is asked, and signs with a key of its own.
struct signer {
	unsigned asked;
	int answer; // of the asking itself
	EVP_PKEY *ca_key;
	struct sg_leaves *leaves;
};

static int ask(void *context, const char *host)
{
	struct signer *signer = context;

	assert_non_null(strstr(host, HOST));
	signer->asked++;
	return signer->answer;
}

// A certificate that has lived for `since` seconds and lives `left` more.
static void deliver(struct signer *signer, long since, long left)
{
	unsigned char *key_der = NULL, *der = NULL;
	const unsigned char *at;
	X509 *leaf = X509_new();
	EVP_PKEY *key;
	size_t length;
	int n;

	assert_int_equal(sg_leaves_public_key(signer->leaves, &key_der, &length), 0);
	at = key_der;
	key = d2i_PUBKEY(NULL, &at, (long)length);
	assert_true(key && X509_set_version(leaf, X509_VERSION_3) == 1);
	assert_true(X509_set_pubkey(leaf, key) == 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(leaf), -since));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(leaf), left));
	assert_true(X509_sign(leaf, signer->ca_key, EVP_sha256()) > 0);
	n = i2d_X509(leaf, &der);
	assert_int_equal(sg_leaves_put(signer->leaves, HOST, 0, der, (size_t)n), 0);
	OPENSSL_free(der);
	OPENSSL_free(key_der);
	EVP_PKEY_free(key);
	X509_free(leaf);
}

static int get(struct signer *signer, SSL_CTX **ret_context)
{
	SSL_CTX *context = NULL;
	int r = sg_leaves_get(signer->leaves, HOST, &context);

	if (ret_context)
		*ret_context = context; // compared only: the cache holds a reference of its own
	SSL_CTX_free(context);
	return r;
}

static int set_up(void **state)
{
	static struct signer signer;

	signer = (struct signer){ .ca_key = EVP_EC_gen("P-256") };
	*state = &signer;
	return signer.ca_key ? sg_leaves_new(ask, &signer, &signer.leaves) : -1;
}

static int tear_down(void **state)
{
	struct signer *signer = *state;

	sg_leaves_free(signer->leaves);
	EVP_PKEY_free(signer->ca_key);
	return 0;
}

static void a_fresh_leaf_is_asked_for_once(void **state)
{
	struct signer *signer = *state;

	assert_int_equal(get(signer, NULL), -EINPROGRESS);
	assert_int_equal(get(signer, NULL), -EINPROGRESS);
	assert_int_equal(signer->asked, 1);
	deliver(signer, HOUR, 7 * DAY);
	for (int i = 0; i < 3; i++)
		assert_int_equal(get(signer, NULL), 0);
	assert_int_equal(signer->asked, 1);
}

// Less than a second of it left: halfway to its end a new one is asked for.
static void a_leaf_near_its_end_is_replaced_and_serves_meanwhile(void **state)
{
	struct signer *signer = *state;
	SSL_CTX *old, *still, *new;

	assert_int_equal(get(signer, NULL), -EINPROGRESS);
	deliver(signer, 7 * DAY, 0);
	assert_int_equal(get(signer, &old), 0);
	assert_int_equal(signer->asked, 2);
	assert_int_equal(get(signer, &still), 0);
	assert_ptr_equal(still, old);
	assert_int_equal(signer->asked, 2); // the answer is on its way
	deliver(signer, HOUR, 7 * DAY);
	assert_int_equal(get(signer, &new), 0);
	assert_ptr_not_equal(new, old);
	assert_int_equal(signer->asked, 2);
}

static void a_day_before_the_end_is_soon_enough(void **state)
{
	struct signer *signer = *state;

	assert_int_equal(get(signer, NULL), -EINPROGRESS);
	// Past the day before its end only halfway: an hour is served without a question.
	deliver(signer, 7 * DAY, HOUR);
	assert_int_equal(get(signer, NULL), 0);
	deliver(signer, 5 * DAY, 2 * DAY + HOUR);
	assert_int_equal(get(signer, NULL), 0);
	assert_int_equal(signer->asked, 1);
}

static void a_refusal_is_told_and_not_asked_for_at_once_again(void **state)
{
	struct signer *signer = *state;

	assert_int_equal(get(signer, NULL), -EINPROGRESS);
	assert_int_equal(sg_leaves_put(signer->leaves, HOST, -EACCES, NULL, 0), -EACCES);
	assert_int_equal(get(signer, NULL), -EACCES);
	assert_int_equal(signer->asked, 1);
	deliver(signer, HOUR, 7 * DAY);
	assert_int_equal(get(signer, NULL), 0);
}

static void a_warden_that_is_away_is_told(void **state)
{
	struct signer *signer = *state;

	signer->answer = -ENOTCONN;
	assert_int_equal(get(signer, NULL), -ENOTCONN);
	signer->answer =
		0; // back: who comes next asks, and does not wait for what nobody asked for
	assert_int_equal(get(signer, NULL), -EINPROGRESS);
	assert_int_equal(signer->asked, 2);
}

// An agent may say any name that a provider could have.
static void many_names_shut_nobody_out(void **state)
{
	struct signer *signer = *state;
	SSL_CTX *context;
	char host[64];

	assert_int_equal(get(signer, NULL), -EINPROGRESS);
	deliver(signer, HOUR, 7 * DAY);
	for (int i = 0; i < 10000; i++) {
		snprintf(host, sizeof(host), "n%d." HOST, i);
		assert_int_equal(sg_leaves_get(signer->leaves, host, &context), -EINPROGRESS);
		if (i % 1000 == 0)
			assert_int_equal(get(signer, NULL), 0); // others go on
	}
	assert_int_equal(signer->asked, 10001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_fresh_leaf_is_asked_for_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_leaf_near_its_end_is_replaced_and_serves_meanwhile, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_day_before_the_end_is_soon_enough, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_refusal_is_told_and_not_asked_for_at_once_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_warden_that_is_away_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_names_shut_nobody_out, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
