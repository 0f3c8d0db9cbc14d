// SPDX-License-Identifier: Apache-2.0
#include "http/h1_fields.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

// The headers that frame a message, as found; none may come twice.
struct framing_headers {
	const struct sg_h1_header *host;
	const struct sg_h1_header *content_length;
	const struct sg_h1_header *transfer_encoding;
	bool says_close;
	bool says_keep_alive;
};

struct authority {
	struct sg_str host;
	uint16_t port; // 0: none given
};

typedef int (*field_fn)(struct sg_h1_head *head, struct framing_headers *found,
	const struct sg_h1_header *header, const char **ret_reason);

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool equals(struct sg_str text, const char *literal)
{
	return text.length == strlen(literal) && memcmp(text.data, literal, text.length) == 0;
}

static bool equals_ignoring_case(struct sg_str a, struct sg_str b)
{
	return a.length == b.length && strncasecmp(a.data, b.data, a.length) == 0;
}

static bool has_prefix_ignoring_case(struct sg_str text, const char *prefix)
{
	size_t length = strlen(prefix);

	return text.length >= length && strncasecmp(text.data, prefix, length) == 0;
}

const struct sg_h1_header *sg_h1_find(const struct sg_h1_head *head, const char *name)
{
	struct sg_str wanted = { name, strlen(name) };

	for (size_t i = 0; i < head->header_count; i++) {
		if (equals_ignoring_case(head->headers[i].name, wanted))
			return &head->headers[i];
	}
	return NULL;
}

bool sg_h1_is_repeated(const struct sg_h1_head *head, const char *name)
{
	const struct sg_h1_header *first = sg_h1_find(head, name);
	const struct sg_h1_header *end = head->headers + head->header_count;

	for (const struct sg_h1_header *header = first ? first + 1 : end; header < end; header++)
		if (equals_ignoring_case(header->name, first->name))
			return true;
	return false;
}

bool sg_h1_has_token(struct sg_str value, const char *token)
{
	struct sg_str wanted = { token, strlen(token) };
	const char *end = value.data + value.length;
	const char *at = value.data;

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;
		const char *next = comma ? comma + 1 : end;

		while (at < stop && (*at == ' ' || *at == '\t'))
			at++;
		while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		if (equals_ignoring_case((struct sg_str){ at, (size_t)(stop - at) }, wanted))
			return true;
		at = next;
	}
	return false;
}

struct sg_str sg_h1_target_path(struct sg_str target)
{
	const char *end = target.data + target.length, *scheme_end, *slash;

	if (!target.length || target.data[0] == '/')
		return target;
	scheme_end = memmem(target.data, target.length, "://", 3);
	if (!scheme_end)
		return target;
	scheme_end += 3;
	slash = memchr(scheme_end, '/', (size_t)(end - scheme_end));
	if (!slash)
		return (struct sg_str){ "/", 1 };
	return (struct sg_str){ slash, (size_t)(end - slash) };
}

// Host names, IPv4 addresses and bracketed IPv6 addresses. Escapes, user names and the rest of RFC
// 3986's reg-name have no use here and are read in different ways.
static bool is_host_character(char c, bool bracketed)
{
	if (is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.')
		return true;
	if (bracketed)
		return c == ':';
	return (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z') || c == '-' || c == '_';
}

static bool parse_port(const char *at, const char *end, uint16_t *ret_port)
{
	unsigned port = 0;

	if (at == end || end - at > 5)
		return false;
	for (; at < end; at++) {
		if (!is_digit(*at))
			return false;
		port = port * 10 + (unsigned)(*at - '0');
	}
	*ret_port = (uint16_t)port;
	return port > 0 && port <= UINT16_MAX;
}

static bool parse_authority(struct sg_str text, struct authority *ret_authority)
{
	const char *end = text.data + text.length;
	const char *at = text.data;
	bool bracketed = at < end && *at == '[';
	const char *host = bracketed ? at + 1 : at;

	*ret_authority = (struct authority){};
	for (at = host; at < end && is_host_character(*at, bracketed); at++)
		;
	if (at == host)
		return false;
	if (bracketed) {
		if (at == end || *at != ']')
			return false;
		at++;
	}
	ret_authority->host = (struct sg_str){ text.data, (size_t)(at - text.data) };
	if (at == end)
		return true;
	return *at == ':' && parse_port(at + 1, end, &ret_authority->port);
}

static int read_host(struct sg_h1_head *head, struct framing_headers *found,
	const struct sg_h1_header *header, const char **ret_reason)
{
	struct authority authority;

	if (head->kind != SG_H1_REQUEST)
		return 0;
	if (found->host)
		return sg_h1_refuse(ret_reason, "two Host headers");
	if (!parse_authority(header->value, &authority))
		return sg_h1_refuse(ret_reason, "malformed Host");
	found->host = header;
	head->host = authority.host;
	head->host_port = authority.port;
	return 0;
}

static int read_content_length(struct sg_h1_head *head, struct framing_headers *found,
	const struct sg_h1_header *header, const char **ret_reason)
{
	struct sg_str text = header->value;
	uint64_t length = 0;

	if (found->content_length)
		return sg_h1_refuse(ret_reason, "two Content-Length headers");
	found->content_length = header;
	if (text.length == 0)
		return sg_h1_refuse(ret_reason, "malformed Content-Length");
	for (size_t i = 0; i < text.length; i++) {
		unsigned digit = (unsigned)(text.data[i] - '0');

		if (!is_digit(text.data[i]))
			return sg_h1_refuse(ret_reason, "malformed Content-Length");
		// Signed 64 bits is what most parsers hold it in.
		if (length > ((uint64_t)INT64_MAX - digit) / 10)
			return sg_h1_refuse(ret_reason, "Content-Length too large");
		length = length * 10 + digit;
	}
	head->content_length = length;
	return 0;
}

// RFC 9112, 7 has the name in any case. Each list, parameter and odd spelling beyond that has been
// used to make two parsers differ; the next hop gets it in lower case (user/enforcer/rewrite.c).
static int read_transfer_encoding(struct sg_h1_head *head, struct framing_headers *found,
	const struct sg_h1_header *header, const char **ret_reason)
{
	static const struct sg_str chunked = { "chunked", 7 };

	if (found->transfer_encoding)
		return sg_h1_refuse(ret_reason, "two Transfer-Encoding headers");
	if (!equals_ignoring_case(header->value, chunked))
		return sg_h1_refuse(ret_reason, "Transfer-Encoding is not chunked");
	if (head->minor_version == 0)
		return sg_h1_refuse(ret_reason, "Transfer-Encoding in HTTP/1.0");
	found->transfer_encoding = header;
	return 0;
}

static int read_connection(struct sg_h1_head *head, struct framing_headers *found,
	const struct sg_h1_header *header, const char **ret_reason)
{
	static const char *const never_hop_by_hop[] = { "host", "content-length",
		"transfer-encoding" };

	// The next hop would drop these, and with them the framing that was checked here (RFC
	// 9110, 7.6.1).
	for (size_t i = 0; i < SG_ARRAY_SIZE(never_hop_by_hop); i++) {
		if (sg_h1_has_token(header->value, never_hop_by_hop[i]))
			return sg_h1_refuse(ret_reason, "Connection names a framing header");
	}
	found->says_close |= sg_h1_has_token(header->value, "close");
	found->says_keep_alive |= sg_h1_has_token(header->value, "keep-alive");
	head->upgrade |= sg_h1_has_token(header->value, "upgrade");
	return 0;
}

static int read_expect(struct sg_h1_head *head, struct framing_headers *found SG_UNUSED,
	const struct sg_h1_header *header, const char **ret_reason SG_UNUSED)
{
	if (head->kind == SG_H1_REQUEST)
		head->expect_continue |= sg_h1_has_token(header->value, "100-continue");
	return 0;
}

static const struct {
	struct sg_str name;
	field_fn read;
} fields[] = {
	{ { "host", 4 }, read_host },
	{ { "content-length", 14 }, read_content_length },
	{ { "transfer-encoding", 17 }, read_transfer_encoding },
	{ { "connection", 10 }, read_connection },
	{ { "expect", 6 }, read_expect },
};

static int read_fields(
	struct sg_h1_head *head, struct framing_headers *found, const char **ret_reason)
{
	for (size_t i = 0; i < head->header_count; i++) {
		const struct sg_h1_header *header = &head->headers[i];

		for (size_t j = 0; j < SG_ARRAY_SIZE(fields); j++) {
			int r;

			if (!equals_ignoring_case(header->name, fields[j].name))
				continue;
			r = fields[j].read(head, found, header, ret_reason);
			if (r < 0)
				return r;
			break;
		}
	}
	return 0;
}

// The authority in the target must be that of Host, with the default port of its scheme filled in
// on both sides.
static bool authority_agrees(
	const struct sg_h1_head *head, struct sg_str authority, uint16_t default_port)
{
	struct authority in_target;

	if (!parse_authority(authority, &in_target))
		return false;
	if (head->host.length == 0)
		return false;
	return equals_ignoring_case(in_target.host, head->host) &&
	       (in_target.port ? in_target.port : default_port) ==
		       (head->host_port ? head->host_port : default_port);
}

// RFC 9112, 3.2: origin-form, absolute-form, authority-form (CONNECT only), asterisk-form (OPTIONS
// only).
static int check_target(const struct sg_h1_head *head, const char **ret_reason)
{
	static const struct {
		const char *prefix;
		uint16_t default_port;
	} schemes[] = { { "http://", 80 }, { "https://", 443 } };
	struct sg_str target = head->target;

	if (memchr(target.data, '#', target.length))
		return sg_h1_refuse(ret_reason, "fragment in the target");
	if (equals(head->method, "CONNECT"))
		return authority_agrees(head, target, 0)
			       ? 0
			       : sg_h1_refuse(ret_reason, "target and Host differ");
	if (target.data[0] == '/')
		return 0;
	if (equals(target, "*"))
		return equals(head->method, "OPTIONS")
			       ? 0
			       : sg_h1_refuse(ret_reason, "malformed target");
	for (size_t i = 0; i < SG_ARRAY_SIZE(schemes); i++) {
		struct sg_str authority;

		if (!has_prefix_ignoring_case(target, schemes[i].prefix))
			continue;
		authority.data = target.data + strlen(schemes[i].prefix);
		authority.length = target.length - strlen(schemes[i].prefix);
		for (size_t end = 0; end < authority.length; end++) {
			if (authority.data[end] == '/' || authority.data[end] == '?')
				authority.length = end;
		}
		return authority_agrees(head, authority, schemes[i].default_port)
			       ? 0
			       : sg_h1_refuse(ret_reason, "target and Host differ");
	}
	return sg_h1_refuse(ret_reason, "malformed target");
}

// Exactly method SP target SP version: llhttp takes more blanks, and other protocols' versions.
static int check_request_line(const struct sg_h1_head *head, const char **ret_reason)
{
	const char *line = head->start_line.data;
	const struct sg_str *method = &head->method;
	const struct sg_str *target = &head->target;

	if (method->data != line || target->length == 0 ||
		target->data != line + method->length + 1 ||
		head->start_line.length != method->length + target->length + 12 ||
		memcmp(target->data + target->length, " HTTP/1.", 8) != 0)
		return sg_h1_refuse(ret_reason, "malformed request line");
	return check_target(head, ret_reason);
}

static int check_status_line(const struct sg_h1_head *head, const char **ret_reason)
{
	const unsigned char *line = (const unsigned char *)head->start_line.data;
	size_t end = head->start_line.length - 2;

	if (end < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || line[9] < '1' ||
		line[9] > '9' || !is_digit((char)line[10]) || !is_digit((char)line[11]) ||
		(end > 12 && line[12] != ' '))
		return sg_h1_refuse(ret_reason, "malformed status line");
	for (size_t i = 12; i < end; i++) {
		if ((line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return sg_h1_refuse(ret_reason, "control character in the reason phrase");
	}
	return 0;
}

// RFC 9112, 6.3.
static enum sg_h1_framing decide_framing(
	const struct sg_h1_head *head, const struct framing_headers *found, bool request_was_head)
{
	if (head->kind == SG_H1_RESPONSE && (request_was_head || head->status < 200 ||
						    head->status == 204 || head->status == 304))
		return SG_H1_NO_BODY;
	if (found->transfer_encoding)
		return SG_H1_CHUNKED;
	if (found->content_length)
		return SG_H1_LENGTH;
	return head->kind == SG_H1_REQUEST ? SG_H1_NO_BODY : SG_H1_UNTIL_CLOSE;
}

int sg_h1_interpret(struct sg_h1_head *head, bool request_was_head, const char **ret_reason)
{
	struct framing_headers found = {};
	int r;

	r = read_fields(head, &found, ret_reason);
	if (r < 0)
		return r;
	if (found.content_length && found.transfer_encoding)
		return sg_h1_refuse(ret_reason, "Content-Length and Transfer-Encoding");
	if (head->kind == SG_H1_REQUEST) {
		if (!found.host && head->minor_version == 1)
			return sg_h1_refuse(ret_reason, "no Host header");
		r = check_request_line(head, ret_reason);
		head->upgrade |= equals(head->method, "CONNECT");
	} else {
		r = check_status_line(head, ret_reason);
	}
	if (r < 0)
		return r;
	head->framing = decide_framing(head, &found, request_was_head);
	head->keep_alive = !found.says_close && (head->minor_version == 1 || found.says_keep_alive);
	return 0;
}
