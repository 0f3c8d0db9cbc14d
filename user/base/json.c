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
