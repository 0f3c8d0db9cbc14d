// SPDX-License-Identifier: Apache-2.0
// The capabilities that are told of, and those that are not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/attr.h"
#include "container/rights.h"

static void rights_of_a_bundle(void **state)
{
	static const struct {
		const char *config, *request;
	} rows[] = {
		{ "{\"process\": {\"capabilities\": {\"bounding\": [\"CAP_CHOWN\", "
		  "\"CAP_NET_RAW\"]}}}",
			"{}" },
		{ "{\"process\": {\"capabilities\": {\"bounding\": [\"CAP_SYS_ADMIN\", "
		  "\"CAP_BPF\"]}}}",
			"{\"capabilities\": [\"CAP_BPF\", \"CAP_SYS_ADMIN\"]}" },
		{ "{\"process\": {\"capabilities\": {\"effective\": [\"CAP_BPF\"]}}}", "{}" },
		// What the real runtime refuses.
		{ "{\"process\": {\"capabilities\": {\"bounding\": [5, null]}}}", "{}" },
		{ "{\"process\": {\"capabilities\": \"CAP_BPF\"}}", "{}" },
		{ "{\"process\": {}}", "{}" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		json_t *config = json_loads(rows[i].config, 0, NULL), *request = json_object();
		char *text;

		assert_non_null(config);
		assert_int_equal(sg_rights_of_bundle(config, request), 0);
		text = json_dumps(request, 0);
		assert_string_equal(text, rows[i].request);
		free(text);
		json_decref(request);
		json_decref(config);
	}
}

static void a_process_that_is_gone_has_none(void **state)
{
	json_t *request = json_object();

	(void)state;
	assert_int_equal(sg_rights_of_process(INT32_MAX, request), 0);
	assert_int_equal(json_object_size(request), 0);
	json_decref(request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights_of_a_bundle),
		cmocka_unit_test(a_process_that_is_gone_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
