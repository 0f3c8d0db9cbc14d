// SPDX-License-Identifier: Apache-2.0
// The audit log: whole lines, in order, through rotation, with what was lost told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "control/audit.h"

static char path[64];
static struct sg_audit *audit;

static int set_up(void **state)
{
	(void)state;
	strcpy(path, "/tmp/spendgate-audit-XXXXXX");
	close(mkstemp(path));
	unlink(path);
	return sg_audit_open(path, &audit);
}

static int tear_down(void **state)
{
	(void)state;
	audit = sg_audit_close(audit);
	unlink(path);
	return 0;
}

static void write_number(int number)
{
	sg_audit_write(audit, "test", true,
		json_pack("{s:s, s:i}", "agent", number % 2 ? "odd" : "even", "n", number));
}

static int number_of(const json_t *lines, size_t index)
{
	return (int)json_integer_value(json_object_get(json_array_get(lines, index), "n"));
}

static void lines_are_whole_and_in_order(void **state)
{
	json_t *lines;
	struct stat file;

	(void)state;
	for (int i = 0; i < 1000; i++)
		write_number(i);
	lines = sg_audit_tail(audit, 5000, NULL);
	assert_int_equal(json_array_size(lines), 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(number_of(lines, (size_t)i), i);
	json_decref(lines);
	lines = sg_audit_tail(audit, 3, "odd");
	assert_int_equal(json_array_size(lines), 3);
	assert_int_equal(number_of(lines, 0), 995);
	json_decref(lines);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
}

static void a_file_that_was_moved_or_cut_is_no_loss(void **state)
{
	char moved[80];
	json_t *lines;

	(void)state;
	snprintf(moved, sizeof(moved), "%s.1", path);
	write_number(1);
	sg_audit_flush(audit);
	assert_int_equal(rename(path, moved), 0);
	write_number(2);
	lines = sg_audit_tail(audit, 10, NULL);
	assert_int_equal(json_array_size(lines), 1);
	assert_int_equal(number_of(lines, 0), 2);
	json_decref(lines);
	assert_int_equal(truncate(path, 0), 0);
	write_number(3);
	lines = sg_audit_tail(audit, 10, NULL);
	assert_int_equal(json_array_size(lines), 1);
	json_decref(lines);
	unlink(moved);
}

static void torn_lines_are_left_out(void **state)
{
	static const char torn[] = "{\"at\": \"x\", \"event\"\nnot json\n";
	json_t *lines;

	(void)state;
	assert_int_equal(sg_fd_write_file(path, torn, strlen(torn), 0600), 0);
	write_number(1);
	lines = sg_audit_tail(audit, 10, NULL);
	assert_int_equal(json_array_size(lines), 1);
	json_decref(lines);
}

static void *write_many(void *context)
{
	for (int i = 0; i < 5000; i++)
		sg_audit_write(audit, "storm", false, json_pack("{s:s}", "agent", (char *)context));
	return NULL;
}

static void a_storm_is_counted_to_the_last_line(void **state)
{
	static char name[] = "a";
	pthread_t threads[4];
	json_t *lines, *line;
	size_t index, seen = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, name), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	write_number(0); // after it the loss, if any, is told
	lines = sg_audit_tail(audit, 100000, NULL);
	json_array_foreach(lines, index, line)
	{
		if (strcmp(json_string_value(json_object_get(line, "event")), "storm") == 0)
			seen++;
		seen += (size_t)json_integer_value(json_object_get(line, "count"));
	}
	assert_int_equal(seen, 20000);
	json_decref(lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_are_whole_and_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_that_was_moved_or_cut_is_no_loss, set_up, tear_down),
		cmocka_unit_test_setup_teardown(torn_lines_are_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_storm_is_counted_to_the_last_line, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
