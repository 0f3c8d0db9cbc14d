// SPDX-License-Identifier: Apache-2.0
// Java's stores: what comes out has what was in and one certificate more, and a digest that Java's
// own rule gives. That Java reads them is shown by the Docker suite.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "trust/jks.h"
#include "trust/keystore.h"

#define DIGEST_BYTES 20

static const char ours[] = "our certificate";

static void make_jks(struct sg_buf *out, uint32_t version, uint32_t count)
{
	assert_int_equal(sg_jks_begin(out, version, count), 0);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(sg_jks_put(out, version, "alias", "theirs", 6), 0);
	assert_int_equal(sg_jks_end(out), 0);
}

static uint32_t count_of(const struct sg_buf *jks)
{
	const uint8_t *head = sg_buf_head(jks);

	return (uint32_t)head[8] << 24 | (uint32_t)head[9] << 16 | (uint32_t)head[10] << 8 |
	       head[11];
}

static int add(const struct sg_buf *in, struct sg_buf *out)
{
	return sg_keystore_add(out, sg_buf_head(in), sg_buf_length(in), ours, sizeof(ours) - 1);
}

static void test_jks(void **state)
{
	(void)state;
	for (uint32_t version = 1; version <= 2; version++) {
		struct sg_buf in = { 0 }, out = { 0 }, again = { 0 };
		size_t entries;

		make_jks(&in, version, 3);
		assert_true(sg_keystore_is(sg_buf_head(&in), sg_buf_length(&in)));
		assert_int_equal(add(&in, &out), 0);
		assert_int_equal(count_of(&out), 4);
		entries = sg_buf_length(&in) - 12 - DIGEST_BYTES;
		assert_memory_equal(
			sg_buf_head(&out) + sg_buf_length(&out) - DIGEST_BYTES - entries,
			sg_buf_head(&in) + 12, entries);
		assert_non_null(
			memmem(sg_buf_head(&out), sg_buf_length(&out), ours, sizeof(ours) - 1));
		assert_int_equal(add(&out, &again), 0);
		assert_int_equal(count_of(&again), 5);
		sg_buf_release(&in);
		sg_buf_release(&out);
		sg_buf_release(&again);
	}
}

// SHA-1 over the password as UTF-16, the phrase and the file.
static void test_digest(void **state)
{
	static const char head[] = "\0c\0h\0a\0n\0g\0e\0i\0tMighty Aphrodite";
	uint8_t text[256], digest[EVP_MAX_MD_SIZE];
	struct sg_buf jks = { 0 };
	size_t length;

	(void)state;
	make_jks(&jks, 2, 1);
	length = sg_buf_length(&jks) - DIGEST_BYTES;
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + sizeof(head) - 1, sg_buf_head(&jks), length);
	assert_int_equal(
		EVP_Digest(text, sizeof(head) - 1 + length, digest, NULL, EVP_sha1(), NULL), 1);
	assert_memory_equal(sg_buf_head(&jks) + length, digest, DIGEST_BYTES);
	sg_buf_release(&jks);
}

static void test_malformed(void **state)
{
	struct sg_buf in = { 0 }, out = { 0 };

	(void)state;
	make_jks(&in, 2, 2);
	for (size_t length = 0; length < sg_buf_length(&in); length++)
		assert_int_equal(sg_jks_add(&out, sg_buf_head(&in), length, ours, 4), -EBADMSG);
	sg_buf_head(&in)[15] = 1; // the first entry becomes a private key
	assert_int_equal(add(&in, &out), -EBADMSG);
	assert_int_equal(sg_buf_length(&out), 0);
	sg_buf_release(&in);
	sg_buf_release(&out);
}

// ---- PKCS#12 ----

static EVP_PKEY *key;

static X509 *make_certificate(void)
{
	X509 *certificate = X509_new();

	if (!key)
		key = EVP_EC_gen("P-256");
	assert_non_null(key);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)"root", -1, -1, 0);
	assert_int_equal(X509_set_pubkey(certificate, key), 1);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	return certificate;
}

// `cipher` is that of certificates; -1: none, as Java 18 has it.
static void make_pkcs12(struct sg_buf *out, const char *password, int cipher, EVP_PKEY *with_key)
{
	X509 *one = make_certificate(), *two = make_certificate();
	STACK_OF(X509) *more = sk_X509_new_null();
	uint8_t *der = NULL;
	PKCS12 *file;
	int length;

	sk_X509_push(more, two);
	file = PKCS12_create(password, "name", with_key, one, more, with_key ? NID_aes_256_cbc : 0,
		cipher, 1, 1, 0);
	assert_non_null(file);
	length = i2d_PKCS12(file, &der);
	assert_true(length > 0);
	assert_int_equal(sg_buf_append(out, der, (size_t)length), 0);
	OPENSSL_free(der);
	PKCS12_free(file);
	sk_X509_free(more);
	X509_free(one);
	X509_free(two);
}

static void test_pkcs12(void **state)
{
	static const int ciphers[] = { -1, NID_aes_256_cbc };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(ciphers); i++) {
		struct sg_buf in = { 0 }, out = { 0 }, again = { 0 };

		make_pkcs12(&in, SG_KEYSTORE_PASSWORD, ciphers[i], NULL);
		assert_true(sg_keystore_is(sg_buf_head(&in), sg_buf_length(&in)));
		assert_int_equal(add(&in, &out), 0);
		assert_int_equal(count_of(&out), 3);
		assert_int_equal(add(&out, &again), 0); // it is a good JKS
		sg_buf_release(&in);
		sg_buf_release(&out);
		sg_buf_release(&again);
	}
}

static void test_pkcs12_refused(void **state)
{
	struct sg_buf in = { 0 }, out = { 0 };

	(void)state;
	make_pkcs12(&in, "another", NID_aes_256_cbc, NULL);
	assert_int_equal(add(&in, &out), -EACCES);
	sg_buf_release(&in);
	make_pkcs12(&in, SG_KEYSTORE_PASSWORD, -1, key);
	assert_int_equal(add(&in, &out), -EBADMSG); // a key is in it
	assert_int_equal(
		sg_keystore_add(&out, sg_buf_head(&in), sg_buf_length(&in) / 2, ours, 4), -EBADMSG);
	assert_int_equal(sg_buf_length(&out), 0);
	sg_buf_release(&in);
	sg_buf_release(&out);
}

static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jks),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_pkcs12),
		cmocka_unit_test(test_pkcs12_refused),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
