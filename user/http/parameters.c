// SPDX-License-Identifier: Apache-2.0
#include "http/parameters.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_token_character(char c)
{
	return is_alphanumeric(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

// Beside a token's those that clients leave without quotes in a boundary, and all readers take.
static bool is_bare_character(char c)
{
	return is_token_character(c) || (c && strchr("/:=?", c));
}

bool sg_is_token(struct sg_str text)
{
	for (size_t i = 0; i < text.length; i++)
		if (!is_token_character(text.data[i]))
			return false;
	return text.length > 0;
}

static void skip_blanks(struct sg_parameters *parameters)
{
	while (parameters->at < parameters->end && is_blank(*parameters->at))
		parameters->at++;
}

void sg_parameters_init(
	struct sg_parameters *parameters, struct sg_str text, struct sg_str *ret_first)
{
	const char *semicolon = memchr(text.data, ';', text.length);
	const char *end = semicolon ? semicolon : text.data + text.length;

	*parameters = (struct sg_parameters){ text.data, text.data + text.length };
	skip_blanks(parameters);
	if (parameters->at > end)
		parameters->at = end;
	*ret_first = (struct sg_str){ parameters->at, (size_t)(end - parameters->at) };
	while (ret_first->length && is_blank(ret_first->data[ret_first->length - 1]))
		ret_first->length--;
	parameters->at = end;
}

static int take_quoted(struct sg_parameters *parameters, struct sg_parameter *parameter)
{
	const char *start = ++parameters->at;

	for (; parameters->at < parameters->end && *parameters->at != '"'; parameters->at++) {
		if (*parameters->at == '\\') {
			parameter->escaped = true;
			parameters->at++;
		}
		if (parameters->at == parameters->end)
			return -EBADMSG;
		if (((unsigned char)*parameters->at < ' ' && *parameters->at != '\t') ||
			*parameters->at == 0x7f)
			return -EBADMSG;
	}
	if (parameters->at == parameters->end)
		return -EBADMSG;
	parameter->value = (struct sg_str){ start, (size_t)(parameters->at++ - start) };
	return 0;
}

static int take_bare(struct sg_parameters *parameters, struct sg_parameter *parameter)
{
	const char *start = parameters->at;

	while (parameters->at < parameters->end && is_bare_character(*parameters->at))
		parameters->at++;
	parameter->value = (struct sg_str){ start, (size_t)(parameters->at - start) };
	return parameter->value.length ? 0 : -EBADMSG;
}

static int take_parameter(struct sg_parameters *parameters, struct sg_parameter *parameter)
{
	const char *start = parameters->at;
	int r;

	while (parameters->at < parameters->end && is_token_character(*parameters->at))
		parameters->at++;
	parameter->name = (struct sg_str){ start, (size_t)(parameters->at - start) };
	if (!parameter->name.length || parameters->at == parameters->end || *parameters->at != '=')
		return -EBADMSG;
	parameters->at++;
	parameter->escaped = false;
	r = parameters->at < parameters->end && *parameters->at == '"'
		    ? take_quoted(parameters, parameter)
		    : take_bare(parameters, parameter);
	return r < 0 ? r : 1;
}

// Between two semicolons, and behind the last one, may be nothing.
int sg_parameters_next(struct sg_parameters *parameters, struct sg_parameter *ret_parameter)
{
	for (;;) {
		skip_blanks(parameters);
		if (parameters->at == parameters->end)
			return 0;
		if (*parameters->at != ';')
			return -EBADMSG;
		parameters->at++;
		skip_blanks(parameters);
		if (parameters->at < parameters->end && *parameters->at != ';')
			return take_parameter(parameters, ret_parameter);
	}
}

bool sg_parameter_is(const struct sg_parameter *parameter, const char *name)
{
	return parameter->name.length == strlen(name) &&
	       strncasecmp(parameter->name.data, name, parameter->name.length) == 0;
}
