// SPDX-License-Identifier: Apache-2.0
// Forms, whole and torn: the same parts, and their files the same length of sound. "content type
// NUL body".
#include <stdlib.h>
#include <string.h>

#include "http/multipart.h"
#include "provider/sound.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t parts, bytes, hash;
	struct sg_sound sound;
};

static void add(struct sum *sum, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum->hash = (sum->hash ^ (unsigned char)bytes[i]) * 1099511628211u;
}

static void on_file_data(void *context, const char *bytes, size_t length)
{
	struct sum *sum = context;

	sg_sound_feed(&sum->sound, bytes, length);
}

static void end_sound(struct sum *sum)
{
	int64_t longest = sg_sound_longest_ms(&sum->sound);

	if (longest < -1)
		abort();
	add(sum, (const char *)&longest, sizeof(longest));
	sg_sound_init(&sum->sound);
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
	if (part->is_file)
		end_sound(sum);
}

static int read_form(
	struct sg_str type, const char *body, size_t length, size_t piece, struct sum *sum)
{
	struct sg_form form;
	int r = sg_form_init(&form, type, on_part, sum);

	form.on_file_data = on_file_data;
	for (size_t at = 0; at < length; at += piece)
		(void)sg_form_feed(&form, body + at, length - at < piece ? length - at : piece);
	end_sound(sum);
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
