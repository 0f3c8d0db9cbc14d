// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "provider/aws_signature.h"

static bool signs(const char *authorization, const char *name)
{
	return sg_aws_signs((struct sg_str){ authorization, strlen(authorization) }, name);
}

static void only_listed_headers_are_signed(void **state)
{
	static const char value[] = "AWS4-HMAC-SHA256 Credential=AKID/20260901/us-east-1/bedrock/"
				    "aws4_request, SignedHeaders=accept-encoding;content-type;host;"
				    "x-amz-date, Signature=host";

	(void)state;
	assert_true(signs(value, "accept-encoding"));
	assert_true(signs(value, "host"));
	assert_true(signs(value, "x-amz-date"));
	assert_true(signs("AWS4 SignedHeaders=Accept-Encoding", "accept-encoding"));
	assert_false(signs(value, "accept"));
	assert_false(signs(value, "encoding"));
	assert_false(signs(value, "signature"));
	assert_false(
		signs("AWS4 SignedHeaders=host, Signature=accept-encoding", "accept-encoding"));
	assert_false(signs("AWS4 SignedHeaders=", "host"));
	assert_false(signs("Bearer accept-encoding", "accept-encoding"));
	assert_false(signs("", "accept-encoding"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(only_listed_headers_are_signed) };

	return cmocka_run_group_tests_name("aws_signature", tests, NULL, NULL);
}
