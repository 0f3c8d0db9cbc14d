// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int sg_error_set(struct sg_error *error, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return code;
}

int sg_error_prefix(struct sg_error *error, int code, const char *format, ...)
{
	char rest[sizeof(error->text)];
	va_list arguments;
	size_t used;

	memcpy(rest, error->text, sizeof(rest));
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	used = strlen(error->text);
	snprintf(error->text + used, sizeof(error->text) - used, "%s", rest);
	return code;
}
