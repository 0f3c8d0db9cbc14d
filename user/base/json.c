// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <errno.h>
#include <string.h>

json_t *sg_json_parse(const char *text, size_t length, const char *place, struct sg_error *error)
{
	json_error_t where;
	json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);

	if (!document && place)
		sg_error_set(error, -EINVAL, "%s:%d:%d: %s", place, where.line, where.column,
			where.text);
	else if (!document)
		sg_error_set(error, -EINVAL, "line %d, column %d: %s", where.line, where.column,
			where.text);
	return document;
}

const char *sg_json_unknown_key(const json_t *object, const char *const *known)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		size_t i = 0;

		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			return key;
	}
	return NULL;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

// The letter that the key's next bytes are, in lower case; returns how many they are.
static size_t fold(const char *at, size_t length, char *ret_letter)
{
	static const char long_s[] = "\xc5\xbf", kelvin[] = "\xe2\x84\xaa";

	*ret_letter = lower(*at);
	if (length >= 2 && memcmp(at, long_s, 2) == 0) {
		*ret_letter = 's';
		return 2;
	}
	if (length >= 3 && memcmp(at, kelvin, 3) == 0) {
		*ret_letter = 'k';
		return 3;
	}
	return 1;
}

bool sg_json_same_but_for_case(
	const char *wanted, size_t wanted_length, const char *key, size_t length)
{
	size_t at = 0;

	if (wanted_length > length)
		return false;
	for (size_t i = 0; i < wanted_length; i++) {
		char letter;

		if (at == length)
			return false;
		at += fold(key + at, length - at, &letter);
		if (letter != lower(wanted[i]))
			return false;
	}
	return at == length;
}

const char *sg_json_key_in_other_case(const json_t *object, const char *wanted)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		if (strcmp(key, wanted) != 0 &&
			sg_json_same_but_for_case(wanted, strlen(wanted), key, strlen(key)))
			return key;
	}
	return NULL;
}

json_t *sg_json_text(const char *text)
{
	json_t *string = json_string(text);
	char clean[1024];
	size_t i;

	if (string)
		return string;
	for (i = 0; i < sizeof(clean) - 1 && text[i]; i++)
		clean[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	clean[i] = 0;
	return json_string(clean);
}

json_t *sg_json_load(const char *path, size_t flags, struct sg_error *error)
{
	json_error_t where;
	json_t *document = json_load_file(path, flags, &where);

	if (document)
		return document;
	if (json_error_code(&where) == json_error_cannot_open_file)
		sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
	else
		sg_error_set(
			error, -EINVAL, "%s:%d:%d: %s", path, where.line, where.column, where.text);
	return NULL;
}
