// SPDX-License-Identifier: Apache-2.0
// Heads travel as they came, byte for byte, but for these lines (documented for operators):
//  - Connection: close and Keep-Alive belong to one hop (RFC 9110, 7.6.1); each side of us has its
//  own;
//  - an offer to change to plain HTTP/2 (Upgrade: h2c, HTTP2-Settings) is passed over;
//  - Expect: 100-continue was answered by us;
//  - Accept-Encoding of a metered call is narrowed to what can be read (providers.md, rule 14), to
//  identity where a usage chunk
//    will have to be taken out; not where it is signed;
//  - Sec-WebSocket-Extensions is left out;
//  - Transfer-Encoding is always spelled "chunked": not every parser takes it in another case;
//  - Content-Length changes when usage is asked for in the agent's place, and Content-Encoding
//  goes: what is edited is sent as it is without its coding;
//  - an answer from which the usage chunk is taken out gets our own chunking.
#include "enforcer/exchange.h"

#include <string.h>
#include <strings.h>

#include "provider/aws_signature.h"

static bool name_is(const struct sg_h1_header *header, const char *name)
{
	return header->name.length == strlen(name) &&
	       strncasecmp(header->name.data, name, header->name.length) == 0;
}

static bool is_hop_by_hop(const struct sg_h1_header *header)
{
	if (name_is(header, "connection"))
		return sg_h1_has_token(header->value, "close") ||
		       sg_h1_has_token(header->value, "http2-settings");
	if (name_is(header, "upgrade"))
		return header->value.length == 3 && strncasecmp(header->value.data, "h2c", 3) == 0;
	return name_is(header, "keep-alive") || name_is(header, "proxy-connection") ||
	       name_is(header, "http2-settings");
}

static int append_line(struct sg_buf *out, const struct sg_h1_header *header)
{
	if (name_is(header, "transfer-encoding") && memcmp(header->value.data, "chunked", 7) != 0)
		return sg_buf_printf(out, "transfer-encoding: chunked\r\n");
	return sg_buf_append(out, header->line.data, header->line.length);
}

static int append_accept_encoding(
	const struct sg_exchange *exchange, const struct sg_h1_header *header, struct sg_buf *out)
{
	const struct sg_h1_header *authorization = sg_h1_find(&exchange->head, "authorization");

	if (authorization && sg_aws_signs(authorization->value, "accept-encoding"))
		return append_line(out, header);
	if (exchange->facts.include_usage == SG_USAGE_TO_ADD ||
		exchange->slice.state != SG_SLICE_NEVER)
		return sg_buf_printf(out, "accept-encoding: identity\r\n");
	if (!sg_h1_has_token(header->value, "br") && !sg_h1_has_token(header->value, "zstd") &&
		!sg_h1_has_token(header->value, "*"))
		return append_line(out, header);
	return sg_buf_printf(out, "accept-encoding: %s\r\n",
		sg_h1_has_token(header->value, "gzip") ? "gzip" : "identity");
}

static int append_request_header(
	const struct sg_exchange *exchange, const struct sg_h1_header *header, struct sg_buf *out)
{
	if (is_hop_by_hop(header) || name_is(header, "expect"))
		return 0;
	// No message is compressed that has to be read.
	if (exchange->relay && name_is(header, "sec-websocket-extensions"))
		return 0;
	if (exchange->route.kind != SG_ROUTE_METERED)
		return append_line(out, header);
	if (name_is(header, "accept-encoding"))
		return append_accept_encoding(exchange, header, out);
	if (name_is(header, "content-encoding") && exchange->sent_plain)
		return 0;
	if (name_is(header, "content-length") && exchange->edits.count)
		return sg_buf_printf(out, "content-length: %llu\r\n",
			(unsigned long long)sg_request_edits_length(
				&exchange->edits, exchange->body.length));
	return append_line(out, header);
}

int sg_rewrite_request(const struct sg_exchange *exchange, struct sg_buf *out)
{
	const struct sg_h1_head *head = &exchange->head;
	int r = sg_buf_append(out, head->start_line.data, head->start_line.length);

	for (size_t i = 0; r == 0 && i < head->header_count; i++)
		r = append_request_header(exchange, &head->headers[i], out);
	if (r == 0)
		r = sg_buf_append(out, "\r\n", 2);
	return r;
}

int sg_rewrite_response(
	const struct sg_exchange *exchange, const struct sg_h1_head *head, struct sg_buf *out)
{
	int r = sg_buf_append(out, head->start_line.data, head->start_line.length);

	for (size_t i = 0; r == 0 && i < head->header_count; i++) {
		const struct sg_h1_header *header = &head->headers[i];
		bool framing =
			name_is(header, "content-length") || name_is(header, "transfer-encoding");

		if (!is_hop_by_hop(header) && !(framing && exchange->reframe))
			r = append_line(out, header);
	}
	if (r == 0 && exchange->reframe)
		r = sg_buf_printf(out, "transfer-encoding: chunked\r\n");
	if (r == 0 && exchange->close_agent)
		r = sg_buf_printf(out, "connection: close\r\n");
	if (r == 0)
		r = sg_buf_append(out, "\r\n", 2);
	return r;
}
