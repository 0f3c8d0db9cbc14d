// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <errno.h>

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
