// SPDX-License-Identifier: Apache-2.0
#include "provider/credential.h"

#include <string.h>
#include <strings.h>

#include "provider/table.h"

#define BEARER_HEADER "authorization"

// All that any provider takes for a key: none of them leaves with another than ours.
static const char *const key_headers[] = { BEARER_HEADER, "x-api-key", "api-key",
	"x-goog-api-key" };

static const char *const bearer_only[] = { BEARER_HEADER, NULL };

static bool text_is(struct sg_str text, const char *word)
{
	return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

static bool text_begins(struct sg_str text, const char *word)
{
	return text.length >= strlen(word) && strncasecmp(text.data, word, strlen(word)) == 0;
}

static bool is_key_header(struct sg_str name)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(key_headers); i++)
		if (text_is(name, key_headers[i]))
			return true;
	return false;
}

// The first is the one that is added where the agent sends none.
static const char *const *accepted_headers(const struct sg_provider *provider)
{
	return provider->key_headers ? provider->key_headers : bearer_only;
}

static bool accepts(const struct sg_provider *provider, struct sg_str name)
{
	for (const char *const *at = accepted_headers(provider); *at; at++)
		if (text_is(name, *at))
			return true;
	return false;
}

// ---- Query ----

// Cuts the next NAME=VALUE off the rest of a query.
static struct sg_str next_parameter(struct sg_str *rest)
{
	const char *end = memchr(rest->data, '&', rest->length);
	struct sg_str parameter = { rest->data, end ? (size_t)(end - rest->data) : rest->length };
	size_t taken = parameter.length + (end != NULL);

	rest->data += taken;
	rest->length -= taken;
	return parameter;
}

static struct sg_str query_of(const struct sg_h1_head *head)
{
	const char *mark = memchr(head->target.data, '?', head->target.length);
	const char *end = head->target.data + head->target.length;

	return mark ? (struct sg_str){ mark + 1, (size_t)(end - mark - 1) }
		    : (struct sg_str){ end, 0 };
}

static struct sg_str name_of(struct sg_str parameter)
{
	const char *equals = memchr(parameter.data, '=', parameter.length);

	return (struct sg_str){ parameter.data,
		equals ? (size_t)(equals - parameter.data) : parameter.length };
}

bool sg_credential_is_signed(const struct sg_h1_head *head)
{
	struct sg_str rest = query_of(head);

	for (size_t i = 0; i < head->header_count; i++)
		if (text_is(head->headers[i].name, BEARER_HEADER) &&
			text_begins(head->headers[i].value, "AWS4-"))
			return true;
	while (rest.length)
		if (text_is(name_of(next_parameter(&rest)), "x-amz-signature"))
			return true;
	return false;
}

int sg_credential_start_line(
	const struct sg_credential *credential, const struct sg_h1_head *head, struct sg_buf *out)
{
	const char *parameter_name = credential->provider->key_parameter;
	struct sg_str line = head->start_line, rest = query_of(head);
	size_t before = (size_t)(rest.data - line.data);
	char mark = '?';
	int r;

	if (!parameter_name || !rest.length)
		return sg_buf_append(out, line.data, line.length);
	r = sg_buf_append(out, line.data, before - 1);
	while (r == 0 && rest.length) {
		struct sg_str parameter = next_parameter(&rest);

		if (text_is(name_of(parameter), parameter_name))
			continue;
		r = sg_buf_append(out, &mark, 1);
		if (r == 0)
			r = sg_buf_append(out, parameter.data, parameter.length);
		mark = '&';
	}
	// What follows the target: " HTTP/1.1" and the line's end.
	return r < 0 ? r
		     : sg_buf_append(out, rest.data, line.length - (size_t)(rest.data - line.data));
}

// ---- Headers ----

static int append_key(struct sg_credential *credential, struct sg_str name, struct sg_buf *out)
{
	credential->placed = true;
	return sg_buf_printf(out, "%.*s: %s%s\r\n", (int)name.length, name.data,
		text_is(name, BEARER_HEADER) ? "Bearer " : "", credential->key);
}

// Browsers can't set headers on a WebSocket: OpenAI takes the key as one of the protocols that are
// offered.
static int append_protocols(const struct sg_h1_header *header, struct sg_buf *out)
{
	const char *at = header->value.data, *end = at + header->value.length;
	bool first = true;
	int r = 0;

	while (r == 0 && at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		struct sg_str protocol = { at, (size_t)((comma ? comma : end) - at) };

		at += protocol.length + 1;
		while (protocol.length && (*protocol.data == ' ' || *protocol.data == '\t')) {
			protocol.data++;
			protocol.length--;
		}
		if (text_begins(protocol, "openai-insecure-api-key."))
			continue;
		r = first ? sg_buf_printf(out, "%.*s: %.*s", (int)header->name.length,
				    header->name.data, (int)protocol.length, protocol.data)
			  : sg_buf_printf(out, ", %.*s", (int)protocol.length, protocol.data);
		first = false;
	}
	if (r == 0 && !first)
		r = sg_buf_append(out, "\r\n", 2);
	return r < 0 ? r : 1;
}

int sg_credential_header(
	struct sg_credential *credential, const struct sg_h1_header *header, struct sg_buf *out)
{
	int r = 0;

	if (text_is(header->name, "sec-websocket-protocol"))
		return append_protocols(header, out);
	if (!is_key_header(header->name))
		return 0;
	if (!credential->placed && accepts(credential->provider, header->name))
		r = append_key(credential, header->name, out);
	return r < 0 ? r : 1;
}

int sg_credential_end(struct sg_credential *credential, struct sg_buf *out)
{
	const char *name = accepted_headers(credential->provider)[0];

	return credential->placed
		       ? 0
		       : append_key(credential, (struct sg_str){ name, strlen(name) }, out);
}
