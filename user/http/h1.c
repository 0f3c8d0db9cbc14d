// SPDX-License-Identifier: Apache-2.0
// Heads are read twice, in one go each: split into lines here, and parsed by llhttp. Both must see
// the same lines and names, so a head that the two would read differently is refused.
#include "http/h1.h"

#include <errno.h>
#include <llhttp.h>
#include <string.h>

#include "http/h1_fields.h"

// What the callbacks of llhttp compare with and fill.
struct reading {
	struct sg_h1_head *head;
	size_t names;  // headers whose name was seen
	size_t values; // headers whose value is complete
};

int sg_h1_refuse(const char **ret_reason, const char *reason)
{
	*ret_reason = reason;
	return -EBADMSG;
}

static int exceed(const char **ret_reason, const char *reason)
{
	*ret_reason = reason;
	return -EMSGSIZE;
}

static int on_method(llhttp_t *parser, const char *at, size_t length)
{
	struct reading *reading = parser->data;

	reading->head->method = (struct sg_str){ at, length };
	return 0;
}

static int on_target(llhttp_t *parser, const char *at, size_t length)
{
	struct reading *reading = parser->data;

	reading->head->target = (struct sg_str){ at, length };
	return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t length)
{
	struct reading *reading = parser->data;
	struct sg_h1_header *header = &reading->head->headers[reading->names];

	if (reading->names >= reading->head->header_count || reading->names != reading->values ||
		at != header->line.data)
		return -1;
	// llhttp may let blanks before the colon through, which other parsers take as part of the
	// name (RFC 9112, 5.1).
	if (length == 0 || length >= header->line.length || at[length] != ':')
		return -1;
	header->name = (struct sg_str){ at, length };
	header->value = (struct sg_str){ at + length + 1, 0 };
	reading->names++;
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
	struct reading *reading = parser->data;
	struct sg_h1_header *header = &reading->head->headers[reading->values];
	const char *line_end = header->line.data + header->line.length - 2;

	// An empty value is reported from behind its line, where llhttp looked for a fold.
	if (length == 0)
		return 0;
	if (reading->names != reading->values + 1 || at + length > line_end)
		return -1;
	while (length > 0 && (at[length - 1] == ' ' || at[length - 1] == '\t'))
		length--;
	header->value = (struct sg_str){ at, length };
	return 0;
}

static int on_value_complete(llhttp_t *parser)
{
	struct reading *reading = parser->data;

	reading->values++;
	return 0;
}

// Stops llhttp behind the head: the body is framed by sg_h1_body_feed.
static int on_headers_complete(llhttp_t *parser SG_UNUSED)
{
	return HPE_PAUSED;
}

static const llhttp_settings_t llhttp_callbacks = {
	.on_method = on_method,
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_complete,
	.on_headers_complete = on_headers_complete,
};

static int add_line(
	struct sg_h1_head *head, const char *line, size_t length, const char **ret_reason)
{
	// Before the first header a blank would make it part of the start line, elsewhere it is
	// obs-fold.
	if (line[0] == ' ' || line[0] == '\t')
		return sg_h1_refuse(ret_reason, "line starts with a blank");
	if (head->start_line.length == 0) {
		head->start_line = (struct sg_str){ line, length };
		return 0;
	}
	if (head->header_count == SG_H1_MAX_HEADERS)
		return exceed(ret_reason, "too many headers");
	head->headers[head->header_count++].line = (struct sg_str){ line, length };
	return 0;
}

// Finds the lines up to the empty one. Returns 1 when the head is complete, 0 when not, or a
// negative errno.
static int split_lines(struct sg_h1_head *head, const char *data, size_t start, size_t length,
	const char **ret_reason)
{
	const char *end = data + (length < SG_H1_MAX_HEAD_BYTES ? length : SG_H1_MAX_HEAD_BYTES);
	const char *line = data + start;

	for (;;) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));
		size_t line_length;
		int r;

		if (!lf)
			return length < SG_H1_MAX_HEAD_BYTES ? 0
							     : exceed(ret_reason, "head too long");
		line_length = (size_t)(lf + 1 - line);
		if (line_length < 2 || memchr(line, '\r', line_length) != lf - 1)
			return sg_h1_refuse(ret_reason, "bare CR or LF");
		if (line_length == 2)
			break;
		r = add_line(head, line, line_length, ret_reason);
		if (r < 0)
			return r;
		line = lf + 1;
	}
	if (head->start_line.length == 0)
		return sg_h1_refuse(ret_reason, "empty start line");
	head->length = (size_t)(line + 2 - data);
	return 1;
}

static int run_llhttp(struct sg_h1_head *head, const char *data, const char **ret_reason)
{
	struct reading reading = { .head = head };
	const char *start = head->start_line.data;
	llhttp_t parser;
	llhttp_errno_t outcome;

	llhttp_init(&parser, head->kind == SG_H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
		&llhttp_callbacks);
	parser.data = &reading;
	outcome = llhttp_execute(&parser, start, head->length - (size_t)(start - data));
	if (outcome != HPE_PAUSED) {
		const char *reason = llhttp_get_error_reason(&parser);

		return sg_h1_refuse(ret_reason, reason ? reason : "malformed head");
	}
	if (reading.names != head->header_count || reading.values != head->header_count)
		return sg_h1_refuse(ret_reason, "ambiguous header lines");
	if (parser.http_major != 1 || parser.http_minor > 1)
		return sg_h1_refuse(ret_reason, "not HTTP/1.0 or HTTP/1.1");
	head->minor_version = parser.http_minor;
	head->status = head->kind == SG_H1_RESPONSE ? parser.status_code : 0;
	return 0;
}

int sg_h1_parse_head(enum sg_h1_kind kind, bool request_was_head, const char *data, size_t length,
	struct sg_h1_head *ret_head, const char **ret_reason)
{
	size_t start = 0;
	int r;

	// The headers are some kilobytes and are written before they are counted: only the rest
	// needs clearing.
	memset(ret_head, 0, offsetof(struct sg_h1_head, headers));
	ret_head->kind = kind;
	*ret_reason = "";
	if (length == 0)
		return 0;
	// RFC 9112, 2.2: one empty line before a request is tolerated.
	if (kind == SG_H1_REQUEST && length >= 2 && memcmp(data, "\r\n", 2) == 0)
		start = 2;
	r = split_lines(ret_head, data, start, length, ret_reason);
	if (r <= 0)
		return r;
	r = run_llhttp(ret_head, data, ret_reason);
	if (r < 0)
		return r;
	r = sg_h1_interpret(ret_head, request_was_head, ret_reason);
	if (r < 0)
		return r;
	return (int)ret_head->length;
}
