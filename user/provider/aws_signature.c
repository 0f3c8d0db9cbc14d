// SPDX-License-Identifier: Apache-2.0
#include "provider/aws_signature.h"

#include <string.h>
#include <strings.h>

bool sg_aws_signs(struct sg_str authorization, const char *name)
{
	static const char key[] = "SignedHeaders=";
	const char *end = authorization.data + authorization.length;
	const char *at = memmem(authorization.data, authorization.length, key, sizeof(key) - 1);

	if (!at)
		return false;
	at += sizeof(key) - 1;
	while (at < end) {
		size_t length = 0;

		while (at + length < end && at[length] != ';' && at[length] != ',' &&
			at[length] != ' ')
			length++;
		if (length == strlen(name) && strncasecmp(at, name, length) == 0)
			return true;
		at += length;
		if (at < end && *at != ';')
			break;
		at++;
	}
	return false;
}
