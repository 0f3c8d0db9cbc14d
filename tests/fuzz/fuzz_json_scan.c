// SPDX-License-Identifier: Apache-2.0
// The scanner against jansson: the same texts are JSON, and a wanted string or count is the same.
// Known differences are left out: bytes that are no UTF-8, lone surrogates, numbers that jansson
// can't hold, a byte order mark, depth, and NUL.
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "provider/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct found {
	bool has_model;
	char model[SG_JSON_TEXT_BYTES + 1];
	uint64_t model_length;
	bool count_is_number;
	int64_t count;
	int count_result;
};

enum { MODEL = 1, USAGE, COUNT };

static const struct sg_json_path paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[COUNT - 1] = { USAGE, "count", 0 },
};

static void on_value(void *context, const struct sg_json_value *value)
{
	struct found *found = context;

	if (value->node == MODEL && !value->end) {
		found->has_model = value->type == SG_JSON_STRING;
		memcpy(found->model, value->text, value->length + 1);
		found->model_length = value->decoded_length;
	}
	if (value->node == COUNT && !value->end) {
		found->count_is_number = value->type == SG_JSON_NUMBER;
		found->count_result = sg_json_count(value, &found->count);
	}
	if (value->node == USAGE && !value->end)
		found->count_is_number = false;
}

static int scan(const char *text, size_t size, size_t piece, struct found *found)
{
	struct sg_json_scan scanner;

	memset(found, 0, sizeof(*found));
	sg_json_scan_init(&scanner, paths, SG_ARRAY_SIZE(paths), on_value, found);
	for (size_t at = 0; at < size; at += piece)
		sg_json_scan_feed(&scanner, text + at, size - at < piece ? size - at : piece);
	return sg_json_scan_finish(&scanner);
}

static void compare(const json_t *root, const struct found *found)
{
	const json_t *model = json_object_get(root, "model");
	const json_t *count = json_object_get(json_object_get(root, "usage"), "count");

	if (found->has_model != (json_is_string(model) != 0))
		abort();
	if (found->has_model && (found->model_length != json_string_length(model) ||
					(found->model_length < SG_JSON_TEXT_BYTES &&
						memcmp(found->model, json_string_value(model),
							found->model_length) != 0)))
		abort();
	if (json_is_integer(count) && found->count_is_number) {
		json_int_t value = json_integer_value(count);
		bool fits = value >= 0 && value <= INT64_C(1) << 53;

		if (fits != (found->count_result == 0) || (fits && found->count != value))
			abort();
	}
}

static bool may_be_too_deep(const uint8_t *data, size_t size)
{
	size_t opened = 0;

	for (size_t i = 0; i < size; i++)
		opened += data[i] == '[' || data[i] == '{';
	return opened > SG_JSON_MAX_DEPTH;
}

// Is what jansson did not take something that the scanner takes knowingly?
static bool is_known_difference(const uint8_t *data, size_t size, const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);

	if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		return true;
	return code == json_error_invalid_utf8 || code == json_error_numeric_overflow ||
	       strstr(error->text, "Unicode") != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct found whole, bytewise;
	int r = scan(text, size, size ? size : 1, &whole),
	    r_bytewise = scan(text, size, 1, &bytewise);
	json_error_t where;
	json_t *root;

	if (r != r_bytewise || (r == 0 && memcmp(&whole, &bytewise, sizeof(whole)) != 0))
		abort();
	if (memchr(data, 0, size))
		return 0; // jansson takes a NUL for the end
	root = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
	if (root && r < 0 && !may_be_too_deep(data, size))
		abort();
	if (!root && r == 0 && !is_known_difference(data, size, &where))
		abort();
	if (root && r == 0 && json_is_object(root))
		compare(root, &whole);
	json_decref(root);
	return 0;
}
