// SPDX-License-Identifier: Apache-2.0
#include "http/multipart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/parameters.h"

static bool starts_with(struct sg_str text, const char *start)
{
	return text.length >= strlen(start) && strncasecmp(text.data, start, strlen(start)) == 0;
}

bool sg_form_is(struct sg_str content_type)
{
	return starts_with(content_type, "multipart/form-data");
}

static bool is_word(struct sg_str text, const char *word)
{
	return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

// What is there twice means the first to some and the last to others.
static int note_once(bool *seen)
{
	if (*seen)
		return -EBADMSG;
	*seen = true;
	return 0;
}

// A value whose text all readers take alike, as a C string.
static int take_text(const struct sg_parameter *parameter, char *out, size_t size)
{
	if (parameter->escaped || parameter->value.length >= size)
		return -EBADMSG;
	memcpy(out, parameter->value.data, parameter->value.length);
	out[parameter->value.length] = 0;
	return 0;
}

// Those of RFC 2046, 5.1.1.
static bool is_boundary(const char *text)
{
	size_t length = strlen(text);

	return length && text[length - 1] != ' ' &&
	       strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "'()+_,-./:=? !#$%&*^`|~") == length;
}

// A name with an asterisk is another one's piece or its coded form (RFC 2231): some readers join
// or decode them.
static bool has_asterisk(const struct sg_parameter *parameter)
{
	return memchr(parameter->name.data, '*', parameter->name.length) != NULL;
}

static int find_boundary(struct sg_str content_type, char boundary[SG_FORM_MAX_BOUNDARY + 1])
{
	struct sg_parameters parameters;
	struct sg_parameter parameter;
	struct sg_str type;
	bool found = false;
	int r;

	boundary[0] = 0;
	sg_parameters_init(&parameters, content_type, &type);
	if (!is_word(type, "multipart/form-data"))
		return -EBADMSG;
	while ((r = sg_parameters_next(&parameters, &parameter)) > 0) {
		if (has_asterisk(&parameter) || parameter.escaped)
			return -EBADMSG;
		if (sg_parameter_is(&parameter, "boundary") &&
			(note_once(&found) < 0 ||
				take_text(&parameter, boundary, SG_FORM_MAX_BOUNDARY + 1) < 0))
			return -EBADMSG;
	}
	return r == 0 && is_boundary(boundary) ? 0 : -EBADMSG;
}

int sg_form_init(
	struct sg_form *form, struct sg_str content_type, sg_form_fn on_part, void *context)
{
	char boundary[SG_FORM_MAX_BOUNDARY + 1];

	*form = (struct sg_form){ .on_part = on_part, .context = context };
	if (find_boundary(content_type, boundary) < 0) {
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
	form->line_cut = form->after_return = false;
	form->name[0] = 0;
	form->has_disposition = form->has_name = form->is_file = false;
	form->value_length = 0;
	form->bytes = 0;
}

// Nobody of ours has a name that does not fit: it is none then.
static int take_name(struct sg_form *form, const struct sg_parameter *parameter)
{
	if (note_once(&form->has_name) < 0 || parameter->escaped)
		return -EBADMSG;
	return parameter->value.length < sizeof(form->name)
		       ? take_text(parameter, form->name, sizeof(form->name))
		       : 0;
}

// A file's name may have escapes: where it ends is all that counts. Its coded form only stands
// beside the plain one; alone, not every reader takes the part for a file.
static int take_disposition(struct sg_form *form, struct sg_str value)
{
	struct sg_parameters parameters;
	struct sg_parameter parameter;
	struct sg_str type;
	bool coded = false;
	int r;

	sg_parameters_init(&parameters, value, &type);
	if (note_once(&form->has_disposition) < 0 || !is_word(type, "form-data"))
		return -EBADMSG;
	while ((r = sg_parameters_next(&parameters, &parameter)) > 0) {
		if (sg_parameter_is(&parameter, "name"))
			r = take_name(form, &parameter);
		else if (sg_parameter_is(&parameter, "filename"))
			r = note_once(&form->is_file);
		else if (sg_parameter_is(&parameter, "filename*"))
			r = note_once(&coded);
		else
			r = has_asterisk(&parameter) || parameter.escaped ? -EBADMSG : 0;
		if (r < 0)
			return r;
	}
	return r < 0 || (coded && !form->is_file) ? -EBADMSG : 0;
}

// Some readers would decode the part.
static bool is_plain_coding(struct sg_str coding)
{
	return is_word(coding, "binary") || is_word(coding, "8bit") || is_word(coding, "7bit");
}

static int take_header(struct sg_form *form)
{
	const char *colon = memchr(form->line, ':', form->line_length);
	struct sg_str name = { form->line, colon ? (size_t)(colon - form->line) : 0 };
	struct sg_parameters rest;
	struct sg_str value, first;

	// A line that goes on the one before is none either.
	if (!sg_is_token(name))
		return -EBADMSG;
	value = (struct sg_str){ colon + 1, form->line_length - name.length - 1 };
	if (is_word(name, "content-disposition"))
		return form->line_cut ? -EBADMSG : take_disposition(form, value);
	if (!is_word(name, "content-transfer-encoding"))
		return 0;
	sg_parameters_init(&rest, value, &first);
	return is_plain_coding(first) ? 0 : -EBADMSG;
}

// Of a header that is longer than any of ours only the start is kept.
static void take_header_byte(struct sg_form *form, char c)
{
	if (c != '\n') {
		form->line_cut |= form->line_length == sizeof(form->line);
		if (!form->line_cut)
			form->line[form->line_length++] = c;
		form->after_return = c == '\r';
		return;
	}
	if (!form->after_return) {
		form->state = SG_FORM_FAILED;
		return;
	}
	if (!form->line_cut)
		form->line_length--;
	if (!form->line_length) {
		form->state = SG_FORM_BODY;
		// Of an empty part the delimiter's CRLF is the one that ended the headers.
		form->matched = form->implied = 2;
		return;
	}
	if (take_header(form) < 0)
		form->state = SG_FORM_FAILED;
	form->line_length = 0;
	form->line_cut = form->after_return = false;
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
