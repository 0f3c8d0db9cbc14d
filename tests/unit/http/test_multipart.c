// SPDX-License-Identifier: Apache-2.0
// Forms, whole and torn: the parts that are told must be the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http/multipart.h"
#include "lib/feed.h"

#define FORM(boundary) "multipart/form-data; boundary=" boundary

struct row {
	const char *type, *body;
	const char *expected; // "name=value;" of a field, "name:bytes;" of a file; NULL: no form
};

static const struct row rows[] = {
	{ FORM("B"),
		"--B\r\nContent-Disposition: form-data; "
		"name=\"model\"\r\n\r\ngpt-image-1\r\n--B--\r\n",
		"model=gpt-image-1;" },
	{ FORM("\"B\""),
		"--B\r\nContent-Disposition: form-data; "
		"name=\"a\"\r\n\r\n1\r\n--B\r\ncontent-disposition: "
		"form-data; name=b\r\nX: y\r\n\r\n2\r\n--B--",
		"a=1;b=2;" },
	{ FORM("B; charset=utf-8"),
		"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\n"
		"Content-Type: image/png\r\n\r\n\r\n--\r\n\r\r\n--C--\r\n--B--\r\n",
		"f:14;" },
	// Nothing in it, twice; a preamble, and an epilogue that looks like a part.
	{ FORM("B"),
		"preamble\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--B "
		"\t\r\n"
		"Content-Disposition: form-data; "
		"name=\"b\"\r\n\r\n\r\n--B--\r\n--B\r\n\r\nx\r\n--B--",
		"a=;b=;" },
	{ FORM("B"), "--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--", "=x;" },
	{ FORM("B"), "--B\r\n\r\n--B--", "=;" },
	{ FORM("aB"), "--aB\r\n\r\n-\r\n--a\r\n--aB--", "=-\r\n--a;" },
	{ FORM("B"), "--B\r\n\r\nx\r\n--B-\r\n", NULL },
	{ FORM("B"), "--B\r\n\r\nx\r\n--BB\r\n\r\ny\r\n--B--", NULL },
	{ FORM("B"), "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n", NULL },
	{ FORM("B"), "", NULL },
	{ FORM("B"), "{}", NULL },
	{ FORM(""), "----\r\n", NULL },
	{ "multipart/form-data", "--B--", NULL },
};

struct parts {
	char text[512];
	size_t used;
};

static void on_part(void *context, const struct sg_form_part *part)
{
	struct parts *parts = context;
	size_t room = sizeof(parts->text) - parts->used;
	char *at = parts->text + parts->used;

	if (part->is_file)
		parts->used += (size_t)snprintf(
			at, room, "%s:%llu;", part->name, (unsigned long long)part->bytes);
	else
		parts->used += (size_t)snprintf(at, room, "%s=%s;", part->name, part->value);
	assert_true(parts->used < sizeof(parts->text));
	assert_int_equal(part->bytes < SG_FORM_VALUE_BYTES ? part->bytes : SG_FORM_VALUE_BYTES,
		part->length);
}

static void read_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	size_t length = strlen(row->body);
	struct parts parts = { .used = 0 };
	struct sg_str type = { row->type, strlen(row->type) };
	struct sg_form form;
	int r = sg_form_init(&form, type, on_part, &parts);

	assert_true(sg_form_is(type));
	for (size_t at = 0, piece; at < length; at += piece) {
		piece = feed_next(feeder, length - at);
		(void)sg_form_feed(&form, row->body + at, piece);
	}
	if (r == 0)
		r = sg_form_finish(&form);
	assert_int_equal(r, row->expected ? 0 : -EBADMSG);
	if (row->expected)
		assert_string_equal(parts.text, row->expected);
}

static void forms_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		feed_all(read_row, &rows[i]);
}

static void what_is_long_is_counted_and_cut(void **state)
{
	static char body[5000];
	struct row row = { FORM("B"), body, NULL };
	struct parts parts = { .used = 0 };
	struct sg_form form;
	size_t used = (size_t)snprintf(body, sizeof(body),
		"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n");

	(void)state;
	memset(body + used, 'x', 3000);
	used += 3000;
	used += (size_t)snprintf(body + used, sizeof(body) - used, "\r\n--B--");
	assert_int_equal(
		sg_form_init(&form, (struct sg_str){ row.type, strlen(row.type) }, on_part, &parts),
		0);
	assert_int_equal(sg_form_feed(&form, body, used), 0);
	assert_int_equal(sg_form_finish(&form), 0);
	assert_string_equal(parts.text, "f:3000;");
}

static void other_types_are_no_forms(void **state)
{
	(void)state;
	assert_false(sg_form_is((struct sg_str){ "application/json", 16 }));
	assert_false(sg_form_is((struct sg_str){ "", 0 }));
	assert_true(sg_form_is((struct sg_str){ "Multipart/Form-Data; boundary=x", 31 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_are_read),
		cmocka_unit_test(what_is_long_is_counted_and_cut),
		cmocka_unit_test(other_types_are_no_forms),
	};

	return cmocka_run_group_tests_name("multipart", tests, NULL, NULL);
}
