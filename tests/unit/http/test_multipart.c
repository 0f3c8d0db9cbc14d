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

#define PART(disposition) "--B\r\n" disposition "\r\n\r\n10\r\n--B--"
#define HEADER		  "Content-Disposition: form-data; "

// Where readers could differ there is one reading, that of the standard, or none.
static const struct row ambiguous_rows[] = {
	{ "multipart/form-data; x=\"; boundary=A\"; boundary=B",
		"--A\r\n" HEADER "name=n\r\n\r\n1\r\n--A--\r\n" PART(HEADER "name=n"), "n=10;" },
	{ "multipart/form-data;BOUNDARY=\"B\" ; x=\"\";", PART(HEADER "name=n"), "n=10;" },
	{ FORM("A; boundary=B"), PART(HEADER "name=n"), NULL },
	{ FORM("\"\"; boundary=B"), PART(HEADER "name=n"), NULL },
	{ FORM("\"B\"C"), PART(HEADER "name=n"), NULL },
	{ FORM("\"B"), PART(HEADER "name=n"), NULL },
	{ FORM("\"\\B\""), PART(HEADER "name=n"), NULL },
	{ FORM("B; x=\"\\\"; boundary=A\""), PART(HEADER "name=n"), NULL },
	{ FORM("B; boundary*=utf-8''A"), PART(HEADER "name=n"), NULL },
	{ FORM("B, multipart/form-data"), PART(HEADER "name=n"), NULL },
	{ FORM("\"B \""), PART(HEADER "name=n"), NULL },
	{ "multipart/form-data; boundary = B", PART(HEADER "name=n"), NULL },
	{ "multipart/form-data, x; boundary=B", PART(HEADER "name=n"), NULL },
	{ FORM("B"), PART(HEADER "name=\"n\"; x=filename"), "n=10;" },
	{ FORM("B"), PART(HEADER "name=\"n\"; xfilename=a"), "n=10;" },
	{ FORM("B"), PART(HEADER "name=\"filename\""), "filename=10;" },
	{ FORM("B"), PART(HEADER "x=\"; name=a\"; NAME=n"), "n=10;" },
	{ FORM("B"), PART(HEADER "filename=\"a\\\"; name=\\\"b\"; name=\"n\""), "n:2;" },
	{ FORM("B"), PART(HEADER "name=n; filename=\"\xc3\xbc; x\"; filename*=utf-8''x"), "n:2;" },
	{ FORM("B"), PART(HEADER "name=n; filename*=utf-8''x"), NULL },
	{ FORM("B"), PART(HEADER "name=n; filename*0=x"), NULL },
	{ FORM("B"), PART(HEADER "name*0=n"), NULL },
	{ FORM("B"), PART(HEADER "name=a; name=n"), NULL },
	{ FORM("B"), PART(HEADER "name=\"\"; name=n"), NULL },
	{ FORM("B"), PART(HEADER "name=n; filename=a; filename=b"), NULL },
	{ FORM("B"), PART(HEADER "name=\"\\n\""), NULL },
	{ FORM("B"), PART(HEADER "name=\"n"), NULL },
	{ FORM("B"), PART(HEADER "name"), NULL },
	{ FORM("B"), PART(HEADER "name=\"n\x01\""), NULL },
	{ FORM("B"), PART("Content-Disposition: attachment; name=n"), NULL },
	{ FORM("B"), PART("Content-Disposition : form-data; name=n"), NULL },
	{ FORM("B"), PART("Content-Disposition: form-data;\r\n name=n"), NULL },
	{ FORM("B"), PART(HEADER "name=a\r\n" HEADER "name=n"), NULL },
	{ FORM("B"), PART("X: y\n" HEADER "name=n"), NULL },
	{ FORM("B"), PART(HEADER "name=n\r\nContent-Transfer-Encoding: 8bit"), "n=10;" },
	{ FORM("B"), PART(HEADER "name=n\r\nContent-Transfer-Encoding: base64"), NULL },
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

static void readers_agree_or_it_is_no_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(ambiguous_rows); i++)
		feed_all(read_row, &ambiguous_rows[i]);
}

// A name behind what is kept of a line would go unseen.
static void a_disposition_that_is_too_long_is_none(void **state)
{
	char body[3000];
	struct row row = { FORM("B"), body, NULL };

	(void)state;
	snprintf(body, sizeof(body), PART(HEADER "x=%02500d; name=n"), 0);
	feed_all(read_row, &row);
	row.expected = "n=10;";
	snprintf(body, sizeof(body), PART("X: %02500d\r\n" HEADER "name=n"), 0);
	feed_all(read_row, &row);
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
		cmocka_unit_test(readers_agree_or_it_is_no_form),
		cmocka_unit_test(a_disposition_that_is_too_long_is_none),
		cmocka_unit_test(what_is_long_is_counted_and_cut),
		cmocka_unit_test(other_types_are_no_forms),
	};

	return cmocka_run_group_tests_name("multipart", tests, NULL, NULL);
}
