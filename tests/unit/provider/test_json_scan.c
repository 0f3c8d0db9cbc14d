// SPDX-License-Identifier: Apache-2.0
// The scanner: which texts are JSON (RFC 8259), and what it tells of wanted paths, whatever the
// cuts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/feed.h"
#include "provider/json_scan.h"

enum { MODEL = 1, USAGE, COUNT, LIST, ITEM, NAME, OPTIONS, KNOWN, ANY };

static const struct sg_json_path paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[COUNT - 1] = { USAGE, "count", 0 },
	[LIST - 1] = { SG_JSON_ROOT, "list", 0 },
	[ITEM - 1] = { LIST, NULL, 0 },
	[NAME - 1] = { ITEM, "name", 0 },
	[OPTIONS - 1] = { SG_JSON_ROOT, "options", 0 },
	[KNOWN - 1] = { OPTIONS, "known", 0 },
	[ANY - 1] = { OPTIONS, "*", 0 },
};

// What was told, as "node:type text;", containers as "node:{", "node:}".
struct told {
	char text[2048];
	size_t length;
	const char *source; // offsets are checked against it
};

static void on_value(void *context, const struct sg_json_value *value)
{
	static const char types[] = { [SG_JSON_OBJECT] = '{',
		[SG_JSON_ARRAY] = '[',
		[SG_JSON_STRING] = 's',
		[SG_JSON_NUMBER] = 'n',
		[SG_JSON_TRUE] = 't',
		[SG_JSON_FALSE] = 'f',
		[SG_JSON_NULL] = '0' };
	struct told *told = context;
	bool container = value->type == SG_JSON_OBJECT || value->type == SG_JSON_ARRAY;
	char type = types[value->type];

	if (value->node == SG_JSON_ROOT)
		return;
	if (value->end) {
		type = value->type == SG_JSON_OBJECT ? '}' : ']';
		assert_int_equal(told->source[value->end_offset - 1], type);
	}
	if (!container && value->type != SG_JSON_NUMBER && value->type != SG_JSON_STRING)
		assert_int_equal(value->length, 0);
	told->length +=
		(size_t)snprintf(told->text + told->length, sizeof(told->text) - told->length,
			"%d:%c%.*s;", value->node, type, (int)value->length, value->text);
	assert_true(told->length < sizeof(told->text));
	assert_int_equal(value->text[value->length], 0);
}

static int scan_bytes(struct feeder *feeder, const char *text, size_t length, struct told *told)
{
	struct sg_json_scan scan;
	int r = 0;

	*told = (struct told){ .source = text };
	sg_json_scan_init(&scan, paths, SG_ARRAY_SIZE(paths), on_value, told);
	for (size_t at = 0, piece; at < length; at += piece) {
		piece = feed_next(feeder, length - at);
		r = sg_json_scan_feed(&scan, text + at, piece);
		assert_true(r == 0 || r == -EBADMSG);
	}
	if (r < 0) // sticks
		assert_int_equal(sg_json_scan_feed(&scan, " ", 1), -EBADMSG);
	return sg_json_scan_finish(&scan);
}

// ---- Grammar ----

static const char *const whole_texts[] = { "{}", "[]", "0", "-0", "-1.5e+10", "1E5", "1e-5", "\"\"",
	"true", "false", "null", " \t\r\n{ } \n", "[1,2]", "[[],{}]", "{\"a\":1,\"b\":[true,null]}",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"", "\"\\ud83d\\ude00\"", "\xef\xbb\xbf{}",
	"\"\x7f\xc3\xa4\"", "{\"\":1}", "{\"a\":1,\"a\":2}", "1.0" };

static const char *const broken_texts[] = { "", " ", "{", "[", "}", "]", "{]", "[}", "[1,]",
	"{\"a\":1,}", "{,}", "[,1]", "{a:1}", "{'a':1}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}",
	"{\"a\":1 \"b\":2}", "[1 2]", "01", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "--1",
	"1.2.3", "0x10", "NaN", "Infinity", "-Infinity", "tru", "truE", "nulll", "True", "\"",
	"\"a", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "\"\t\"", "\"\x01\"",
	"{}{}", "{} x", "1 2", "[1]]", "\xef\xbb{}", "\xef\xbb\xbf", "\xef\xbb\xbf\xef\xbb\xbf{}",
	" \xef\xbb\xbf{}", "//\n{}", "{\"a\":1}\\", "[\"a\":1]", "{1:2}", "{\"a\":1]", "\x80" };

static void run_whole(struct feeder *feeder, const void *text)
{
	struct told told;

	assert_int_equal(scan_bytes(feeder, text, strlen(text), &told), 0);
}

static void run_broken(struct feeder *feeder, const void *text)
{
	struct told told;

	assert_int_equal(scan_bytes(feeder, text, strlen(text), &told), -EBADMSG);
}

static void json_is_taken_and_else_is_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(whole_texts); i++)
		feed_all(run_whole, whole_texts[i]);
	for (size_t i = 0; i < SG_ARRAY_SIZE(broken_texts); i++)
		feed_all(run_broken, broken_texts[i]);
}

static void a_nul_is_no_part_of_json(void **state)
{
	struct told told;
	struct feeder feeder = { FEED_WHOLE, 0 };

	(void)state;
	assert_int_equal(scan_bytes(&feeder, "{}\0", 3, &told), -EBADMSG);
	assert_int_equal(scan_bytes(&feeder, "\"a\0b\"", 5, &told), -EBADMSG);
}

static int scan_depth(size_t depth)
{
	struct feeder feeder = { FEED_WHOLE, 0 };
	struct told told;
	char text[2 * SG_JSON_MAX_DEPTH + 8];

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	return scan_bytes(&feeder, text, 2 * depth, &told);
}

static void depth_has_a_limit(void **state)
{
	(void)state;
	assert_int_equal(scan_depth(SG_JSON_MAX_DEPTH), 0);
	assert_int_equal(scan_depth(SG_JSON_MAX_DEPTH + 1), -EBADMSG);
}

// Every byte that ends a run of plain bytes, at every place of a block and at the blocks' borders.
static void strings_end_where_they_end(void **state)
{
	static const char ends[] = { '"', '\\', '\n', 0x1f, 0 };

	(void)state;
	for (size_t run = 0; run < 50; run++)
		for (size_t i = 0; i < sizeof(ends); i++) {
			struct feeder feeder = { FEED_WHOLE, 0 };
			struct told told;
			char text[80];
			size_t length = 0;

			text[length++] = '"';
			memset(text + length, i % 2 ? '\xff' : ' ', run);
			length += run;
			text[length++] = ends[i];
			if (ends[i] == '\\')
				text[length++] = 'n';
			if (ends[i] != '"')
				text[length++] = '"';
			assert_int_equal(scan_bytes(&feeder, text, length, &told),
				ends[i] == '"' || ends[i] == '\\' ? 0 : -EBADMSG);
		}
}

// ---- Values ----

struct row {
	const char *text;
	const char *told;
};

static const struct row rows[] = {
	{ "{\"model\":\"m\"}", "1:sm;" },
	{ "{\"mo\\u0064el\":\"m\"}", "1:sm;" },
	{ "{\"model\\u0000\":\"m\"}", "" },
	{ "{\"models\":\"m\",\"mode\":\"m\",\"Model\":\"m\"}", "" },
	{ "{\"x\":{\"model\":\"m\"},\"list\":{\"model\":1}}", "4:{;4:};" },
	{ "[{\"model\":\"m\"}]", "" },
	{ "\"model\"", "" },
	{ "{\"model\":\"a\",\"model\":\"b\"}", "1:sa;1:sb;" },
	{ "{\"model\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "1:s\"\\/\b\f\n\r\t;" },
	{ "{\"model\":\"\\u00e4\\u20ac\\ud83d\\ude00\"}",
		"1:s\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80;" },
	{ "{\"model\":\"\\ud83dx\\ude00\\ud83d\\ud83d\\ude00\"}",
		"1:s\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80;" },
	{ "{\"model\":\"\\ud83d\"}", "1:s\xef\xbf\xbd;" },
	{ "{\"model\":\"\\ud83d\\n\"}", "1:s\xef\xbf\xbd\n;" },
	{ "{\"model\":true}", "1:t;" },
	{ "{\"model\":[\"m\"]}", "1:[;1:];" },
	{ "{\"usage\":{\"count\":12,\"count\":null,\"x\":{\"count\":1}}}", "2:{;3:n12;3:0;2:};" },
	{ "{\"usage\":{\"count\":-1.5e3}}", "2:{;3:n-1.5e3;2:};" },
	{ "{\"usage\":{\"count\":false}}", "2:{;3:f;2:};" },
	{ "{\"list\":[1,{\"name\":\"n\"},\"s\",[{\"name\":\"x\"}],null]}",
		"4:[;5:n1;5:{;6:sn;5:};5:ss;5:[;5:];5:0;4:];" },
	{ "{\"list\":[],\"usage\":{}}", "4:[;4:];2:{;2:};" },
	{ "{\"options\":{\"known\":1,\"b\":2,\"\":3}}", "7:{;8:n1;9:n2;9:n3;7:};" },
};

static void run_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	struct told told;

	assert_int_equal(scan_bytes(feeder, row->text, strlen(row->text), &told), 0);
	assert_string_equal(told.text, row->told);
}

static void wanted_values_are_told_and_no_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		feed_all(run_row, &rows[i]);
}

static void on_long_value(void *context, const struct sg_json_value *value)
{
	if (value->node == MODEL)
		*(struct sg_json_value *)context = *value;
}

static void long_strings_are_cut_and_measured(void **state)
{
	struct sg_json_value value = { .node = 0 };
	struct sg_json_scan scan;
	char text[5000], key[600];
	size_t head = strlen("{\"model\":\"");

	(void)state;
	snprintf(text, sizeof(text), "{\"model\":\"");
	memset(text + head, 'x', 4000);
	snprintf(text + head + 4000, sizeof(text) - head - 4000, "\\u20ac\"}");
	sg_json_scan_init(&scan, paths, SG_ARRAY_SIZE(paths), on_long_value, &value);
	assert_int_equal(sg_json_scan_feed(&scan, text, strlen(text)), 0);
	assert_int_equal(sg_json_scan_finish(&scan), 0);
	assert_int_equal(value.length, SG_JSON_TEXT_BYTES);
	assert_int_equal(value.decoded_length, 4003);
	// A key that only begins like a wanted one when it is cut is not that one.
	memset(key, 'k', sizeof(key));
	memcpy(key, "{\"", 2);
	memcpy(key + sizeof(key) - 5, "\":1}", 5);
	sg_json_scan_init(&scan, paths, SG_ARRAY_SIZE(paths), on_long_value, &value);
	assert_int_equal(sg_json_scan_feed(&scan, key, strlen(key)), 0);
	assert_int_equal(sg_json_scan_finish(&scan), 0);
}

static void offsets_are_those_of_the_text(void **state)
{
	const char *text = "\xef\xbb\xbf { \"model\" : [1, 2] }";
	struct sg_json_value value = { .node = 0 };
	struct sg_json_scan scan;

	(void)state;
	for (size_t first = 0; first < strlen(text); first++) {
		sg_json_scan_init(&scan, paths, SG_ARRAY_SIZE(paths), on_long_value, &value);
		assert_int_equal(sg_json_scan_feed(&scan, text, first), 0);
		assert_int_equal(sg_json_scan_feed(&scan, text + first, strlen(text) - first), 0);
		assert_int_equal(value.end_offset, strchr(text, ']') + 1 - text);
	}
}

// ---- Counts ----

static void count_is(enum sg_json_type type, const char *text, int64_t expected)
{
	struct sg_json_value value = {
		.type = type, .text = text, .length = strlen(text), .decoded_length = strlen(text)
	};
	int64_t count = -7;

	assert_int_equal(sg_json_count(&value, &count), expected < 0 ? -ERANGE : 0);
	assert_int_equal(count, expected < 0 ? -7 : expected);
}

static void only_whole_numbers_up_to_2_53_are_counts(void **state)
{
	static const char *const none[] = { "-1", "-0.5", "12.5", "1e400", "1e-1", "1e16", "NaN",
		"", "9007199254740993", "18446744073709551616",
		"340282366920938463463374607431768211456", "x", " 1", "1 ", "0x10" };

	(void)state;
	count_is(SG_JSON_NUMBER, "0", 0);
	count_is(SG_JSON_NUMBER, "12", 12);
	count_is(SG_JSON_NUMBER, "12.0", 12);
	count_is(SG_JSON_NUMBER, "1.2e1", 12);
	count_is(SG_JSON_NUMBER, "9007199254740992", INT64_C(1) << 53);
	count_is(SG_JSON_STRING, "12", 12);
	for (size_t i = 0; i < SG_ARRAY_SIZE(none); i++) {
		count_is(SG_JSON_NUMBER, none[i], -1);
		count_is(SG_JSON_STRING, none[i], -1);
	}
	count_is(SG_JSON_TRUE, "", -1);
	count_is(SG_JSON_NULL, "", -1);
	count_is(SG_JSON_OBJECT, "", -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_taken_and_else_is_not),
		cmocka_unit_test(a_nul_is_no_part_of_json),
		cmocka_unit_test(depth_has_a_limit),
		cmocka_unit_test(strings_end_where_they_end),
		cmocka_unit_test(wanted_values_are_told_and_no_others),
		cmocka_unit_test(long_strings_are_cut_and_measured),
		cmocka_unit_test(offsets_are_those_of_the_text),
		cmocka_unit_test(only_whole_numbers_up_to_2_53_are_counts),
	};

	return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
