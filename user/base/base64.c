// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <errno.h>
#include <stdint.h>

static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int sg_base64_append(struct sg_buf *buf, const char *text, size_t length)
{
	uint32_t bits = 0;
	unsigned digits = 0, padding = 0;
	uint8_t *out;
	int r = sg_buf_reserve(buf, length / 4 * 3 + 3);

	if (r < 0)
		return r;
	out = buf->data + buf->end;
	for (size_t i = 0; i < length; i++) {
		int digit = digit_of(text[i]);

		if (text[i] == '\\')
			continue;
		padding += text[i] == '=';
		if ((digit < 0 && text[i] != '=') || (digit >= 0 && padding) || padding > 2)
			return -EBADMSG;
		bits = bits << 6 | (digit < 0 ? 0 : (uint32_t)digit);
		if (++digits % 4)
			continue;
		*out++ = (uint8_t)(bits >> 16);
		*out++ = (uint8_t)(bits >> 8);
		*out++ = (uint8_t)bits;
	}
	if (digits % 4)
		return -EBADMSG;
	buf->end = (size_t)(out - buf->data) - padding;
	return 0;
}
