// SPDX-License-Identifier: Apache-2.0
// Forms, whole and torn: the same parts. "content type NUL body".
#include <stdlib.h>
#include <string.h>

#include "http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t parts, bytes, hash;
};

static void add(struct sum *sum, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum->hash = (sum->hash ^ (unsigned char)bytes[i]) * 1099511628211u;
}

static void on_part(void *context, const struct sg_form_part *part)
{
	struct sum *sum = context;

	if (part->length > SG_FORM_VALUE_BYTES || part->length > part->bytes ||
		part->value[part->length])
		abort();
	sum->parts++;
	sum->bytes += part->bytes + part->is_file;
	add(sum, part->name, strlen(part->name) + 1);
	add(sum, part->value, part->length);
}

static int read_form(
	struct sg_str type, const char *body, size_t length, size_t piece, struct sum *sum)
{
	struct sg_form form;
	int r = sg_form_init(&form, type, on_part, sum);

	for (size_t at = 0; at < length; at += piece)
		(void)sg_form_feed(&form, body + at, length - at < piece ? length - at : piece);
	return r < 0 ? r : sg_form_finish(&form);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *middle = size ? memchr(text, 0, size) : NULL;
	struct sg_str type = { text, middle ? (size_t)(middle - text) : size };
	const char *body = middle ? middle + 1 : text + size;
	size_t length = size - (size_t)(body - text);
	struct sum whole = { 0 }, bytewise = { 0 };

	if (read_form(type, body, length, SIZE_MAX / 2, &whole) !=
			read_form(type, body, length, 1, &bytewise) ||
		memcmp(&whole, &bytewise, sizeof(whole)) != 0)
		abort();
	return 0;
}
