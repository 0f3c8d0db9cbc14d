// SPDX-License-Identifier: Apache-2.0
// Heads between the protocols: fields to HTTP/1.1 text, and a parsed head to fields. nghttp2 has
// checked order, number and characters of the fields (RFC 9113, 8.2 and 8.3).
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/h2_state.h"

static bool equals(struct sg_str text, const char *literal)
{
	return text.length == strlen(literal) && memcmp(text.data, literal, text.length) == 0;
}

// ---- Fields to text ----

static struct sg_str view(const struct sg_h2_stream *stream, struct sg_str_span span)
{
	const uint8_t *head = sg_buf_head(&stream->pseudo);

	if (!head)
		return (struct sg_str){ "", 0 };
	return (struct sg_str){ (const char *)head + span.at, span.length };
}

static int keep(struct sg_h2_stream *stream, struct sg_str value, struct sg_str_span *ret_span)
{
	*ret_span = (struct sg_str_span){ (uint32_t)sg_buf_length(&stream->pseudo),
		(uint32_t)value.length };
	return sg_buf_append(&stream->pseudo, value.data, value.length);
}

static int add_pseudo(struct sg_h2_stream *stream, struct sg_str name, struct sg_str value)
{
	if (equals(name, ":method"))
		return keep(stream, value, &stream->method);
	if (equals(name, ":path"))
		return keep(stream, value, &stream->path);
	if (equals(name, ":authority"))
		return keep(stream, value, &stream->authority);
	if (equals(name, ":status"))
		return keep(stream, value, &stream->status);
	if (equals(name, ":scheme"))
		return equals(value, "https") || equals(value, "http") ? 0 : -EBADMSG;
	return -EBADMSG;
}

static int add_line(struct sg_buf *lines, struct sg_str name, struct sg_str value)
{
	int r = sg_buf_append(lines, name.data, name.length);

	if (r == 0)
		r = sg_buf_append(lines, ": ", 2);
	if (r == 0)
		r = sg_buf_append(lines, value.data, value.length);
	return r < 0 ? r : sg_buf_append(lines, "\r\n", 2);
}

static int add_cookie(struct sg_h2_stream *stream, struct sg_str value)
{
	int r = sg_buf_length(&stream->cookies) ? sg_buf_append(&stream->cookies, "; ", 2) : 0;

	return r < 0 ? r : sg_buf_append(&stream->cookies, value.data, value.length);
}

static bool is_too_large(const struct sg_h2_stream *stream, size_t more)
{
	return sg_buf_length(&stream->lines) + sg_buf_length(&stream->cookies) +
		       sg_buf_length(&stream->pseudo) + more >
	       SG_H1_MAX_HEAD_BYTES;
}

int sg_h2_head_add(struct sg_h2_stream *stream, struct sg_str name, struct sg_str value)
{
	bool pseudo = name.length && name.data[0] == ':';

	if (is_too_large(stream, name.length + value.length + 4)) {
		stream->head_too_large = true;
		return 0;
	}
	if (pseudo)
		return add_pseudo(stream, name, value);
	if (equals(name, "te")) // of this hop
		return 0;
	if (equals(name, "cookie"))
		return add_cookie(stream, value);
	if (equals(name, "host") && stream->h2->role == SG_H2_SERVER)
		return stream->host.length ? -EBADMSG : keep(stream, value, &stream->host);
	if (equals(name, "content-length"))
		stream->has_length = true;
	return add_line(&stream->lines, name, value);
}

static bool authorities_agree(struct sg_str a, struct sg_str b)
{
	return a.length == b.length && strncasecmp(a.data, b.data, a.length) == 0;
}

static int start_request(struct sg_h2_stream *stream)
{
	struct sg_str method = view(stream, stream->method), path = view(stream, stream->path);
	struct sg_str authority = view(stream, stream->authority);
	struct sg_str host = view(stream, stream->host);

	if (authority.length && host.length && !authorities_agree(authority, host))
		return -EBADMSG;
	if (!authority.length)
		authority = host;
	if (equals(method, "CONNECT"))
		path = authority;
	return sg_buf_printf(&stream->head, "%.*s %.*s HTTP/1.1\r\nhost: %.*s\r\n",
		(int)method.length, method.data, (int)path.length, path.data, (int)authority.length,
		authority.data);
}

static const char *phrase(struct sg_str status)
{
	static const struct {
		const char *status, *phrase;
	} known[] = { { "100", "Continue" }, { "200", "OK" }, { "201", "Created" },
		{ "202", "Accepted" }, { "204", "No Content" }, { "400", "Bad Request" },
		{ "401", "Unauthorized" }, { "402", "Payment Required" }, { "403", "Forbidden" },
		{ "404", "Not Found" }, { "405", "Method Not Allowed" },
		{ "408", "Request Timeout" }, { "413", "Content Too Large" },
		{ "429", "Too Many Requests" }, { "500", "Internal Server Error" },
		{ "502", "Bad Gateway" }, { "503", "Service Unavailable" },
		{ "504", "Gateway Timeout" } };

	for (size_t i = 0; i < SG_ARRAY_SIZE(known); i++)
		if (equals(status, known[i].status))
			return known[i].phrase;
	return "";
}

static int start_response(struct sg_h2_stream *stream)
{
	struct sg_str status = view(stream, stream->status);

	stream->final_head_received = status.length && status.data[0] != '1';
	return sg_buf_printf(&stream->head, "HTTP/1.1 %.*s %s\r\n", (int)status.length, status.data,
		phrase(status));
}

// An answer that has no body, whatever its head says (RFC 9110, 6.4.1).
static bool has_no_body(const struct sg_h2_stream *stream)
{
	struct sg_str status = view(stream, stream->status);

	return !stream->final_head_received || stream->asks_head || equals(status, "204") ||
	       equals(status, "304");
}

// A body without a stated length is chunked in HTTP/1.1; a method that has a body usually gets its
// length stated when there is none.
static int add_framing(struct sg_h2_stream *stream, bool ends)
{
	struct sg_str method = view(stream, stream->method);
	bool request = stream->h2->role == SG_H2_SERVER;

	if (stream->has_length || (!request && has_no_body(stream)))
		return 0;
	if (!ends)
		return sg_buf_printf(&stream->head, "transfer-encoding: chunked\r\n");
	if (!request || equals(method, "POST") || equals(method, "PUT") || equals(method, "PATCH"))
		return sg_buf_printf(&stream->head, "content-length: 0\r\n");
	return 0;
}

static void forget_fields(struct sg_h2_stream *stream)
{
	sg_buf_release(&stream->lines);
	sg_buf_release(&stream->cookies);
	sg_buf_release(&stream->pseudo);
	stream->host = stream->status = (struct sg_str_span){ 0, 0 };
}

int sg_h2_head_finish(struct sg_h2_stream *stream, bool ends)
{
	int r;

	// Interim answers that nobody takes.
	if (sg_buf_length(&stream->head) > SG_H1_MAX_HEAD_BYTES)
		return -EBADMSG;
	r = stream->h2->role == SG_H2_SERVER ? start_request(stream) : start_response(stream);
	if (r == 0)
		r = sg_buf_append(
			&stream->head, sg_buf_head(&stream->lines), sg_buf_length(&stream->lines));
	if (r == 0 && sg_buf_length(&stream->cookies))
		r = add_line(&stream->head, (struct sg_str){ "cookie", 6 },
			(struct sg_str){ (const char *)sg_buf_head(&stream->cookies),
				sg_buf_length(&stream->cookies) });
	if (r == 0)
		r = add_framing(stream, ends);
	if (r == 0)
		r = sg_buf_append(&stream->head, "\r\n", 2);
	forget_fields(stream);
	return r;
}

int sg_h2_trailers_finish(struct sg_h2_stream *stream)
{
	int r = sg_buf_append(
		&stream->trailers, sg_buf_head(&stream->lines), sg_buf_length(&stream->lines));

	forget_fields(stream);
	return r;
}

// ---- A head to fields ----

static bool is_named(struct sg_str name, const char *lower_case)
{
	return name.length == strlen(lower_case) &&
	       strncasecmp(name.data, lower_case, name.length) == 0;
}

// RFC 9113, 8.2.2. `connection`: the first of these lines, or NULL.
static bool is_of_the_connection(const struct sg_h1_header *connection, struct sg_str name)
{
	static const char *const names[] = { "connection", "keep-alive", "proxy-connection",
		"transfer-encoding", "upgrade", "http2-settings", "te" };
	char named[64];

	for (size_t i = 0; i < SG_ARRAY_SIZE(names); i++)
		if (is_named(name, names[i]))
			return true;
	if (!connection || name.length >= sizeof(named))
		return false;
	memcpy(named, name.data, name.length);
	named[name.length] = 0;
	return sg_h1_has_token(connection->value, named);
}

static void put_field(nghttp2_nv *field, struct sg_str name, struct sg_str value)
{
	*field = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.data,
		.namelen = name.length,
		.value = (uint8_t *)(uintptr_t)value.data,
		.valuelen = value.length };
}

static void put_literal(nghttp2_nv *field, const char *name, struct sg_str value)
{
	put_field(field, (struct sg_str){ name, strlen(name) }, value);
}

static struct sg_str find_authority(const struct sg_h1_head *head)
{
	const struct sg_h1_header *host = sg_h1_find(head, "host");

	return host ? host->value : (struct sg_str){ "", 0 };
}

static size_t put_pseudo(const struct sg_h2_head_options *options, const struct sg_h1_head *head,
	char status[4], nghttp2_nv *fields)
{
	if (options->role == SG_H2_SERVER) {
		snprintf(status, 4, "%03u", head->status % 1000);
		put_literal(&fields[0], ":status", (struct sg_str){ status, 3 });
		return 1;
	}
	put_literal(&fields[0], ":method", head->method);
	put_literal(&fields[1], ":scheme",
		options->https ? (struct sg_str){ "https", 5 } : (struct sg_str){ "http", 4 });
	put_literal(&fields[2], ":authority", find_authority(head));
	put_literal(&fields[3], ":path", sg_h1_target_path(head->target));
	return 4;
}

size_t sg_h2_head_fields(const struct sg_h2_head_options *options, const struct sg_h1_head *head,
	char status[4], nghttp2_nv fields[SG_H2_MAX_FIELDS])
{
	const struct sg_h1_header *connection = sg_h1_find(head, "connection");
	size_t count = put_pseudo(options, head, status, fields);

	for (size_t i = 0; i < head->header_count; i++) {
		struct sg_str name = head->headers[i].name;

		if (is_of_the_connection(connection, name) ||
			(options->role == SG_H2_CLIENT && is_named(name, "host")) ||
			(options->without_length && is_named(name, "content-length")))
			continue;
		put_field(&fields[count++], name, head->headers[i].value);
	}
	return count;
}

size_t sg_h2_trailer_fields(const struct sg_buf *lines, nghttp2_nv fields[SG_H2_MAX_FIELDS])
{
	const char *at = (const char *)sg_buf_head(lines);
	const char *end = at + sg_buf_length(lines);
	size_t count = 0;

	while (at < end && count < SG_H2_MAX_FIELDS) {
		const char *line_end = memchr(at, '\r', (size_t)(end - at));
		const char *colon = memchr(at, ':', (size_t)(end - at));
		const char *value;

		if (!line_end || !colon || colon > line_end)
			break;
		for (value = colon + 1; value < line_end && (*value == ' ' || *value == '\t');)
			value++;
		put_field(&fields[count], (struct sg_str){ at, (size_t)(colon - at) },
			(struct sg_str){ value, (size_t)(line_end - value) });
		count += !is_of_the_connection(NULL, (struct sg_str){ at, (size_t)(colon - at) });
		at = line_end + 2;
	}
	return count;
}
