// SPDX-License-Identifier: Apache-2.0
// The CA's leaves are good for the providers, and a stolen key is good for nothing else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "warden/ca.h"

static char directory[64];
static const char *const providers[] = { "api.openai.com", "api.anthropic.com", NULL };
static const char *const everything[] = { "api.openai.com", "bank.example", NULL };

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/spendgate-ca-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

static struct sg_ca *open_ca(const char *const *hosts)
{
	struct sg_error error = { "" };
	struct sg_ca *ca;

	if (sg_ca_open(directory, hosts, &ca, &error) < 0)
		fail_msg("%s", error.text);
	return ca;
}

static int sign(struct sg_ca *ca, const char *host, X509 **ret_leaf)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	uint8_t *public_key = NULL, *der = NULL;
	int length = i2d_PUBKEY(key, &public_key), r;
	size_t der_length;

	r = sg_ca_sign(ca, host, public_key, (size_t)length, &der, &der_length);
	if (r == 0) {
		const uint8_t *at = der;

		*ret_leaf = d2i_X509(NULL, &at, (long)der_length);
	}
	OPENSSL_free(der);
	OPENSSL_free(public_key);
	EVP_PKEY_free(key);
	return r;
}

static X509 *root_of(const struct sg_ca *ca)
{
	const uint8_t *der;
	size_t length;

	sg_ca_certificate(ca, &der, &length);
	return d2i_X509(NULL, &der, (long)length);
}

// As a client does: chain, purpose, name.
static int verify(X509 *leaf, X509 *root, const char *host)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	int result;

	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(context, store, leaf, NULL);
	X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(context), host, 0);
	X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), X509_V_FLAG_X509_STRICT);
	result = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	return result;
}

static void leaves_verify_strictly(void **state)
{
	struct sg_ca *ca = open_ca(providers);
	X509 *root = root_of(ca), *leaf;

	(void)state;
	assert_int_equal(sign(ca, "api.openai.com", &leaf), 0);
	assert_int_equal(verify(leaf, root, "api.openai.com"), X509_V_OK);
	assert_int_not_equal(verify(leaf, root, "api.anthropic.com"), X509_V_OK);
	X509_free(leaf);
	assert_int_equal(sign(ca, "eu.api.openai.com", &leaf), 0); // a region
	assert_int_equal(verify(leaf, root, "eu.api.openai.com"), X509_V_OK);
	X509_free(leaf);
	assert_int_equal(sign(ca, "bank.example", &leaf), -EACCES);
	assert_int_equal(sign(ca, "openai.com", &leaf), -EACCES);
	assert_int_equal(sign(ca, "evilapi.openai.com.bank.example", &leaf), -EACCES);
	assert_int_equal(sign(ca, "xapi.openai.com", &leaf), -EACCES);
	assert_int_equal(sign(ca, "api.openai.com,DNS:bank.example", &leaf), -EINVAL);
	assert_int_equal(sign(ca, "", &leaf), -EINVAL);
	X509_free(root);
	sg_ca_close(ca);
}

// Whoever has the key may sign what he likes, but under this root no client takes it.
static void a_leaf_outside_the_constraints_is_refused_by_clients(void **state)
{
	struct sg_ca *ca = open_ca(providers), *thief;
	X509 *root = root_of(ca), *leaf, *stolen;
	char path[96];
	FILE *file;
	EVP_PKEY *key;

	(void)state;
	snprintf(path, sizeof(path), "%s/ca.key", directory);
	file = fopen(path, "r");
	key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	strcat(directory, "/thief");
	thief = open_ca(everything);
	assert_int_equal(sign(thief, "bank.example", &leaf), 0);
	stolen = X509_dup(leaf);
	assert_true(X509_sign(stolen, key, EVP_sha256()) > 0);
	assert_int_not_equal(verify(stolen, root, "bank.example"), X509_V_OK);
	*strstr(directory, "/thief") = 0;
	X509_free(stolen);
	X509_free(leaf);
	X509_free(root);
	EVP_PKEY_free(key);
	sg_ca_close(thief);
	sg_ca_close(ca);
}

static void the_root_is_kept_until_a_host_is_added(void **state)
{
	struct sg_ca *first = open_ca(providers), *second = open_ca(providers),
		     *third = open_ca(everything);
	X509 *a = root_of(first), *b = root_of(second), *c = root_of(third);
	struct stat status;
	char path[96];

	(void)state;
	assert_int_equal(X509_cmp(a, b), 0);
	assert_int_not_equal(X509_cmp(b, c), 0);
	snprintf(path, sizeof(path), "%s/ca.key", directory);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	X509_free(a);
	X509_free(b);
	X509_free(c);
	sg_ca_close(first);
	sg_ca_close(second);
	sg_ca_close(third);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(leaves_verify_strictly, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_leaf_outside_the_constraints_is_refused_by_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_root_is_kept_until_a_host_is_added, setup, teardown),
	};

	return cmocka_run_group_tests_name("ca", tests, NULL, NULL);
}
