// SPDX-License-Identifier: Apache-2.0
// What is signed, when it is tried again, and what waits at most. Deliveries: tests/e2e.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/attr.h"
#include "enforcer/webhook.h"

// python3: hmac.new(b"planted-webhook-secret", b"1700000000." + body, "sha256").hexdigest()
static void test_signature(void **state)
{
	static const char body[] = "{\"event\":\"budget_alert\",\"percent\":50}";
	char first[SG_WEBHOOK_SIGNATURE_BYTES], other[SG_WEBHOOK_SIGNATURE_BYTES];

	(void)state;
	assert_int_equal(sg_webhook_sign("planted-webhook-secret", 1700000000, body,
				 sizeof(body) - 1, first),
		0);
	assert_string_equal(
		first, "cc83bfb525f40e9c5d04bf4860e993471ad19a47e58e4366c316a6de32ef0c06");
	assert_int_equal(sg_webhook_sign("planted-webhook-secret", 1700000001, body,
				 sizeof(body) - 1, other),
		0);
	assert_string_not_equal(first, other);
}

static void test_delays(void **state)
{
	static const int64_t delays_ms[] = { -1, 1000, 5000, 30000, 120000, 600000, -1, -1 };

	(void)state;
	for (unsigned i = 0; i < SG_ARRAY_SIZE(delays_ms); i++)
		assert_int_equal(sg_webhook_delay_ms(i), delays_ms[i]);
}

static json_int_t number_of(const json_t *status, const char *key)
{
	return json_integer_value(json_object_get(status, key));
}

// Nobody delivers.
static void test_bound(void **state)
{
	json_t *configured = json_pack("{s:s, s:s, s:s, s:s, s:i}", "address", "127.0.0.1:9",
		"host", "localhost", "path", "/", "secret", "x", "timeout_ms", 1000);
	json_t *fields = json_pack("{s:s}", "agent", "a"), *status;
	struct sg_webhook *webhook = NULL;
	struct sg_error error = { "" };

	(void)state;
	assert_int_equal(sg_webhook_new(configured, NULL, &webhook, &error), 0);
	for (int i = 0; i < SG_WEBHOOK_WAITING + 3; i++)
		sg_webhook_tell(webhook, "budget_alert", 0, fields);
	status = sg_webhook_status(webhook);
	assert_int_equal(number_of(status, "waiting"), SG_WEBHOOK_WAITING);
	assert_int_equal(number_of(status, "lost"), 3);
	json_decref(status);
	sg_webhook_free(webhook);
	json_decref(fields);
	json_decref(configured);
}

static void test_none(void **state)
{
	struct sg_webhook *webhook = NULL;
	struct sg_error error = { "" };

	(void)state;
	assert_int_equal(sg_webhook_new(NULL, NULL, &webhook, &error), 0);
	assert_null(webhook);
	sg_webhook_tell(webhook, "budget_alert", 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
