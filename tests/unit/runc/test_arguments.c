// SPDX-License-Identifier: Apache-2.0
// The shim's command line: ours first, then whatever an engine gives its runtime.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "runc/arguments.h"

#define MOST 24

// Words by blanks; `words` and `storage` live as long as the result.
static int parse(const char *line, struct sg_runc_arguments *ret_arguments, struct sg_error *error)
{
	static char storage[512];
	static char *words[MOST];
	char *save = NULL;
	int count = 0;

	strcpy(storage, line);
	for (char *word = strtok_r(storage, " ", &save); word; word = strtok_r(NULL, " ", &save))
		words[count++] = word;
	words[count] = NULL;
	return sg_runc_arguments_parse(count, words, ret_arguments, error);
}

static void test_docker(void **state)
{
	struct sg_runc_arguments arguments;
	struct sg_error error;

	(void)state;
	assert_int_equal(parse("shim --spendgate-run-dir=/run/x --spendgate-profile=small --root "
			       "/r --log /l/log.json "
			       "--log-format json create --bundle /b --pid-file /b/pid "
			       "--console-socket /c ID",
				 &arguments, &error),
		0);
	assert_string_equal(arguments.run_directory, "/run/x");
	assert_string_equal(arguments.profile, "small");
	assert_string_equal(arguments.runtime, "runc");
	assert_string_equal(arguments.command, "create");
	assert_string_equal(arguments.id, "ID");
	assert_string_equal(arguments.bundle, "/b");
	assert_string_equal(arguments.log, "/l/log.json");
	assert_true(arguments.log_is_json);
	assert_true(sg_runc_arguments_create(&arguments));
	assert_string_equal(arguments.rest[0], "--root");
	assert_int_equal(arguments.rest_count, 14);
	assert_null(arguments.rest[14]);
}

static void test_forms(void **state)
{
	struct sg_runc_arguments arguments;
	struct sg_error error;

	(void)state;
	assert_int_equal(parse("shim --log=/l -systemd-cgroup run --no-pivot -b /b --detach ID",
				 &arguments, &error),
		0);
	assert_string_equal(arguments.log, "/l");
	assert_false(arguments.log_is_json);
	assert_string_equal(arguments.bundle, "/b");
	assert_string_equal(arguments.id, "ID");
	assert_true(sg_runc_arguments_create(&arguments));
	assert_int_equal(parse("shim state ID", &arguments, &error), 0);
	assert_false(sg_runc_arguments_create(&arguments));
	assert_null(arguments.bundle);
	assert_int_equal(parse("shim exec --process /p create", &arguments, &error), 0);
	assert_false(sg_runc_arguments_create(&arguments));
	assert_int_equal(parse("shim create", &arguments, &error), 0);
	assert_false(sg_runc_arguments_create(&arguments));
	assert_int_equal(parse("shim --log", &arguments, &error), 0);
	assert_null(arguments.log);
	assert_int_equal(parse("shim", &arguments, &error), 0);
	assert_null(arguments.command);
}

// Ours are known only in front: a runtime's own arguments are never ours.
static void test_own(void **state)
{
	static const char *const bad[] = { "shim --spendgate-runtime= create", "shim --spendgate-x",
		"shim --spendgate-run-dir=relative", "shim --spendgate-profile" };
	struct sg_runc_arguments arguments;
	struct sg_error error;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i], &arguments, &error), -EINVAL);
		assert_non_null(strstr(error.text, "must be --spendgate-runtime=PATH"));
	}
	assert_int_equal(parse("shim create --spendgate-fail-open ID", &arguments, &error), 0);
	assert_false(arguments.fail_open);
	assert_int_equal(parse("shim --spendgate-fail-open create ID", &arguments, &error), 0);
	assert_true(arguments.fail_open);
}

// The value of an option that is not known is not taken for a command that makes no container.
static void test_unknown(void **state)
{
	struct sg_runc_arguments arguments;
	struct sg_error error;

	(void)state;
	assert_int_equal(parse("shim --new-option value create ID", &arguments, &error), -EINVAL);
	assert_non_null(strstr(error.text, "\"value\" is no command"));
	assert_int_equal(parse("shim --cgroup-manager systemd create --pidfd-socket /s ID",
				 &arguments, &error),
		0);
	assert_true(sg_runc_arguments_create(&arguments));
	assert_string_equal(arguments.id, "ID");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_docker),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
