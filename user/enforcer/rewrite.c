// SPDX-License-Identifier: Apache-2.0
// Heads travel as they came, byte for byte, but for these lines (documented for operators):
//  - Connection: close and Keep-Alive belong to one hop (RFC 9110, 7.6.1); each side of us has its
//  own;
//  - an offer to change to plain HTTP/2 (Upgrade: h2c, HTTP2-Settings) is passed over;
//  - Expect: 100-continue was answered by us;
//  - Accept-Encoding of a metered call is narrowed to what can be read, to identity where a usage
//    chunk will have to be taken out, or a policy evaluator reads the answer; not where it is
//    signed;
//  - Sec-WebSocket-Extensions is left out;
//  - Transfer-Encoding is always spelled "chunked": not every parser takes it in another case;
//  - Content-Length changes when usage is asked for in the agent's place, or a policy evaluator has
//  changed the body, and Content-Encoding goes: what is edited is sent as it is without its coding;
//  - an answer that a policy evaluator has seen whole gets its length told;
//  - the lines that tell a key get the operator's in place of the agent's, where he has given one
//  for the provider (credential.h);
//  - an answer from which the usage chunk is taken out gets our own chunking.
#include "enforcer/exchange.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "enforcer/client.h"
#include "enforcer/keys.h"
#include "provider/aws_signature.h"
#include "provider/credential.h"

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

static bool is_framing(const struct sg_h1_header *header)
{
	return name_is(header, "content-length") || name_is(header, "transfer-encoding");
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
	if (exchange->facts.include_usage == SG_USAGE_TO_ADD || exchange->gate ||
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
	if (name_is(header, "content-encoding") && exchange->body_is_ours)
		return 0;
	if (name_is(header, "content-length") && (exchange->edits.count || exchange->body_is_ours))
		return sg_buf_printf(out, "content-length: %llu\r\n",
			(unsigned long long)sg_request_edits_length(
				&exchange->edits, exchange->body.length));
	return append_line(out, header);
}

// With the operator's key.
static int append_request_with_key(
	const struct sg_exchange *exchange, const char *key, struct sg_buf *out)
{
	const struct sg_h1_head *head = &exchange->head;
	struct sg_credential credential = { exchange->client->provider, key, false };
	int r = sg_credential_start_line(&credential, head, out);

	for (size_t i = 0; r >= 0 && i < head->header_count; i++) {
		r = sg_credential_header(&credential, &head->headers[i], out);
		if (r == 0)
			r = append_request_header(exchange, &head->headers[i], out);
	}
	return r < 0 ? r : sg_credential_end(&credential, out);
}

static int append_request_as_it_came(const struct sg_exchange *exchange, struct sg_buf *out)
{
	const struct sg_h1_head *head = &exchange->head;
	int r = sg_buf_append(out, head->start_line.data, head->start_line.length);

	for (size_t i = 0; r == 0 && i < head->header_count; i++)
		r = append_request_header(exchange, &head->headers[i], out);
	return r;
}

int sg_rewrite_request(const struct sg_exchange *exchange, struct sg_buf *out)
{
	const char *key = sg_keys_of_client(exchange->client);
	int r = key ? append_request_with_key(exchange, key, out)
		    : append_request_as_it_came(exchange, out);

	return r < 0 ? r : sg_buf_append(out, "\r\n", 2);
}

int sg_rewrite_response(
	const struct sg_exchange *exchange, const struct sg_h1_head *head, struct sg_buf *out)
{
	int r = sg_buf_append(out, head->start_line.data, head->start_line.length);

	for (size_t i = 0; r == 0 && i < head->header_count; i++) {
		const struct sg_h1_header *header = &head->headers[i];

		if (!is_hop_by_hop(header) && !(is_framing(header) && exchange->reframe))
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

int sg_rewrite_whole(const struct sg_exchange *exchange, const struct sg_buf *head,
	struct sg_str body, bool amended, struct sg_buf *out)
{
	struct sg_h1_head parsed;
	const char *reason;
	ssize_t n = sg_h1_parse_head(SG_H1_RESPONSE, false, (const char *)sg_buf_head(head),
		sg_buf_length(head), &parsed, &reason);
	int r = n > 0 ? sg_buf_append(out, parsed.start_line.data, parsed.start_line.length)
		      : -EBADMSG;

	for (size_t i = 0; r == 0 && i < parsed.header_count; i++) {
		const struct sg_h1_header *header = &parsed.headers[i];
		bool of_body =
			amended && (name_is(header, "content-encoding") || name_is(header, "etag"));

		if (!is_hop_by_hop(header) && !is_framing(header) && !of_body)
			r = append_line(out, header);
	}
	if (r == 0)
		r = sg_buf_printf(out, "content-length: %zu\r\n%s\r\n", body.length,
			exchange->close_agent ? "connection: close\r\n" : "");
	return r < 0 ? r : sg_buf_append(out, body.data, body.length);
}
