// SPDX-License-Identifier: Apache-2.0
// Of a PEM file certificates are copied and nothing else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "trust/certificates.h"

#define ONE	"-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n"
#define TWO	"-----BEGIN CERTIFICATE-----\r\nQUJD\r\nREVG\r\n-----END CERTIFICATE-----\n"
#define TRUSTED "-----BEGIN TRUSTED CERTIFICATE-----\nQUJD\n-----END TRUSTED CERTIFICATE-----\n"
#define KEY	"-----BEGIN PRIVATE KEY-----\nU0VDUkVU\n-----END PRIVATE KEY-----\n"

static void check(const char *pem, int expected_count, const char *expected)
{
	struct sg_buf out = { 0 };

	assert_int_equal(sg_certificates_append(&out, pem, strlen(pem)), expected_count);
	assert_int_equal(sg_buf_length(&out), strlen(expected));
	if (*expected)
		assert_memory_equal(sg_buf_head(&out), expected, strlen(expected));
	sg_buf_release(&out);
}

static void test_certificates(void **state)
{
	(void)state;
	check("", 0, "");
	check(ONE, 1, ONE);
	check("# Issuer: CN=Root\n" ONE "\n# Another\n" TWO, 2, ONE TWO);
	check(TRUSTED ONE, 2, TRUSTED ONE);
}

static void test_keys_are_left(void **state)
{
	(void)state;
	check(KEY, 0, "");
	check(ONE KEY TWO, 2, ONE TWO);
	check("-----BEGIN ENCRYPTED PRIVATE KEY-----\nU0VDUkVU\n" ONE, 1, ONE);
}

// A certificate that has no end does not take what follows with it.
static void test_torn(void **state)
{
	(void)state;
	check("-----BEGIN CERTIFICATE-----\nTUlJ\n" KEY ONE, 1, ONE);
	check("-----BEGIN CERTIFICATE-----\n" KEY "-----END CERTIFICATE-----\n", 0, "");
	check("-----BEGIN CERTIFICATE-----\nTUlJ\n-----END PRIVATE KEY-----\n" ONE, 1, ONE);
	check("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 0, "");
	check("-----BEGIN CERTIFICATE-----\nuser:secret\n-----END CERTIFICATE-----\n" ONE, 1, ONE);
	check("-----BEGIN CERTIFICATE-----\nTUlJ", 0, "");
	check("-----BEGIN ", 0, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_keys_are_left),
		cmocka_unit_test(test_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
