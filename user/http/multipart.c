// SPDX-License-Identifier: Apache-2.0
#include "http/multipart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool starts_with(struct sg_str text, const char *start)
{
	return text.length >= strlen(start) && strncasecmp(text.data, start, strlen(start)) == 0;
}

bool sg_form_is(struct sg_str content_type)
{
	return starts_with(content_type, "multipart/form-data");
}

// The value of a parameter: `; name=value` or `; name="value"`. Nothing is unescaped but what
// stands behind a backslash. Returns its length, or -1: it is not there, or does not fit.
static ssize_t take_parameter(struct sg_str text, const char *name, char *out, size_t size)
{
	size_t name_length = strlen(name), used = 0;
	const char *at = text.data, *end = text.data + text.length;
	bool quoted;

	while ((at = memchr(at, ';', (size_t)(end - at)))) {
		at++;
		while (at < end && (*at == ' ' || *at == '\t'))
			at++;
		if ((size_t)(end - at) > name_length && at[name_length] == '=' &&
			strncasecmp(at, name, name_length) == 0)
			break;
	}
	if (!at)
		return -1;
	at += name_length + 1;
	quoted = at < end && *at == '"';
	for (at += quoted; at < end && (quoted ? *at != '"' : *at != ';' && *at != ' '); at++) {
		if (quoted && *at == '\\' && at + 1 < end)
			at++;
		if (used + 1 >= size)
			return -1;
		out[used++] = *at;
	}
	out[used] = 0;
	return (ssize_t)used;
}

int sg_form_init(
	struct sg_form *form, struct sg_str content_type, sg_form_fn on_part, void *context)
{
	char boundary[SG_FORM_MAX_BOUNDARY + 1];
	ssize_t length = take_parameter(content_type, "boundary", boundary, sizeof(boundary));

	*form = (struct sg_form){ .on_part = on_part, .context = context };
	if (length <= 0) {
		form->state = SG_FORM_FAILED;
		return -EBADMSG;
	}
	form->delimiter_length =
		(size_t)snprintf(form->delimiter, sizeof(form->delimiter), "\r\n--%s", boundary);
	form->matched = form->implied = 2; // the first one may stand at the very start
	return 0;
}

// ---- Parts ----

static void begin_part(struct sg_form *form)
{
	form->state = SG_FORM_HEADER;
	form->line_length = 0;
	form->name[0] = 0;
	form->is_file = false;
	form->value_length = 0;
	form->bytes = 0;
}

static void take_header(struct sg_form *form)
{
	struct sg_str line = { form->line, form->line_length };

	if (!starts_with(line, "content-disposition:"))
		return;
	if (take_parameter(line, "name", form->name, sizeof(form->name)) < 0)
		form->name[0] = 0;
	form->is_file = memmem(line.data, line.length, "filename", 8) != NULL;
}

// A header that is longer than any of ours counts by its start.
static void take_header_byte(struct sg_form *form, char c)
{
	if (c != '\n') {
		if (form->line_length < sizeof(form->line))
			form->line[form->line_length++] = c;
		return;
	}
	if (form->line_length && form->line[form->line_length - 1] == '\r')
		form->line_length--;
	if (!form->line_length) {
		form->state = SG_FORM_BODY;
		// Of an empty part the delimiter's CRLF is the one that ended the headers.
		form->matched = form->implied = 2;
		return;
	}
	take_header(form);
	form->line_length = 0;
}

static void add_value(struct sg_form *form, const char *bytes, size_t length)
{
	size_t room = SG_FORM_VALUE_BYTES - form->value_length;

	form->bytes += length;
	if (form->is_file && form->on_file_data)
		form->on_file_data(form->context, bytes, length);
	if (length > room)
		length = room;
	memcpy(form->value + form->value_length, bytes, length);
	form->value_length += length;
}

static void end_part(struct sg_form *form)
{
	struct sg_form_part part = { .name = form->name,
		.is_file = form->is_file,
		.value = form->value,
		.length = form->value_length,
		.bytes = form->bytes };

	form->value[form->value_length] = 0;
	form->on_part(form->context, &part);
}

static void end_delimiter(struct sg_form *form)
{
	if (form->state == SG_FORM_BODY)
		end_part(form);
	form->state = SG_FORM_DELIMITER_END;
	form->matched = form->implied = form->dashes = 0;
}

// ---- Bytes ----

// The delimiter begins with CR, which is nowhere else in it: what did not match to its end is data
// up to there, and the byte may begin another one.
static void take_data_byte(struct sg_form *form, char c)
{
	if (c == form->delimiter[form->matched]) {
		if (++form->matched == form->delimiter_length)
			end_delimiter(form);
		return;
	}
	if (form->state == SG_FORM_BODY)
		add_value(form, form->delimiter + form->implied, form->matched - form->implied);
	form->implied = 0;
	form->matched = c == '\r';
	if (form->state == SG_FORM_BODY && !form->matched)
		add_value(form, &c, 1);
}

static size_t take_data(struct sg_form *form, const char *bytes, size_t length)
{
	const char *stop;
	size_t run;

	if (form->matched) {
		take_data_byte(form, *bytes);
		return 1;
	}
	stop = memchr(bytes, '\r', length);
	run = stop ? (size_t)(stop - bytes) : length;
	if (form->state == SG_FORM_BODY)
		add_value(form, bytes, run);
	form->matched = stop != NULL;
	return run + form->matched;
}

static void take_delimiter_end(struct sg_form *form, char c)
{
	bool blank = c == ' ' || c == '\t' || c == '\r';

	if (c == '-' && form->dashes < 2) {
		if (++form->dashes == 2)
			form->state = SG_FORM_EPILOGUE;
	} else if (c == '\n' && !form->dashes) {
		begin_part(form);
	} else if (!blank || form->dashes) {
		form->state = SG_FORM_FAILED;
	}
}

int sg_form_feed(struct sg_form *form, const char *bytes, size_t length)
{
	size_t i = 0;

	while (i < length) {
		switch (form->state) {
		case SG_FORM_PREAMBLE:
		case SG_FORM_BODY:
			i += take_data(form, bytes + i, length - i);
			break;
		case SG_FORM_DELIMITER_END:
			take_delimiter_end(form, bytes[i++]);
			break;
		case SG_FORM_HEADER:
			take_header_byte(form, bytes[i++]);
			break;
		case SG_FORM_EPILOGUE:
			return 0;
		case SG_FORM_FAILED:
			return -EBADMSG;
		}
	}
	return form->state == SG_FORM_FAILED ? -EBADMSG : 0;
}

int sg_form_finish(const struct sg_form *form)
{
	return form->state == SG_FORM_EPILOGUE ? 0 : -EBADMSG;
}
