// SPDX-License-Identifier: Apache-2.0
#include "enforcer/route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "enforcer/worker.h"
#include "http/h1.h"
#include "http/h2.h"
#include "tls/hello.h"

#define HTTPS_PORT 443

// The connection's provider connections come from one origin of the worker's pool.
static int set_pool_origin(struct sg_client *client, bool tls)
{
	struct sg_worker *worker = client->worker;
	const struct sg_origin *registered = client->registered;
	struct sg_pool_key key;

	memset(&key, 0, sizeof(key)); // hashed as bytes, padding too
	if (tls && !(registered && registered->plain))
		key.context = client->agent->upstream_context;
	if (!client->agent->egress_host &&
		client->flow.netns_cookie != worker->enforcer->netns_cookie)
		key.netns_cookie = client->flow.netns_cookie;
	memcpy(key.address, registered ? registered->address : client->flow.destination,
		sizeof(key.address));
	key.port = registered ? registered->port : client->flow.destination_port;
	key.http2 = registered ? registered->http2 : SG_HTTP2_OFFERED;
	if (strlen(client->host) >= sizeof(key.host))
		return -ENAMETOOLONG;
	memcpy(key.host, client->host, strlen(client->host));
	return sg_pool_origin_get(
		&worker->pool, &key, sg_loop_now_ms(worker->loop), &client->pool_origin);
}

// Is `host` a provider's, or does the destination belong to one? Fills the client when so.
static bool find_provider(struct sg_client *client, const char *host)
{
	const struct sg_origin *registered = NULL;
	const struct sg_provider *known;

	if (*host)
		registered = sg_agent_origin_by_host(client->agent, host);
	if (!registered)
		registered = sg_agent_origin_by_address(
			client->agent, client->flow.destination, client->flow.destination_port);
	snprintf(client->host, sizeof(client->host), "%s", registered ? registered->host : host);
	known = sg_provider_by_host(client->host, strlen(client->host));
	client->registered = registered;
	client->provider = registered ? registered->provider : known;
	client->own_host = client->provider == known;
	client->regional = known && sg_provider_is_region(client->host, strlen(client->host));
	return client->provider != NULL;
}

static enum sg_first take(struct sg_client *client, enum sg_first first)
{
	int r = set_pool_origin(client, first == SG_FIRST_TLS);

	if (r < 0) {
		sg_log(SG_LOG_ERROR, "refused", "agent=%s connection=%llu host=%s reason=\"%s\"",
			client->agent->name, (unsigned long long)client->connection, client->host,
			strerror(-r));
		return SG_FIRST_REFUSE;
	}
	return first;
}

static enum sg_first refuse(const struct sg_client *client, const char *reason)
{
	sg_log(SG_LOG_WARN, "refused", "agent=%s connection=%llu reason=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, reason);
	return SG_FIRST_REFUSE;
}

// Does the ClientHello tell no host: none at all, an address, or a name that those of others are
// hidden behind? What looks like a hidden name may be noise (RFC 9849, 6.2) beside the real one, so
// it is known by the name beside it.
static bool is_unnamed(const struct sg_hello *hello)
{
	struct in_addr address;

	return !hello->sni[0] || inet_pton(AF_INET, hello->sni, &address) == 1 ||
	       (hello->encrypted_hello && strcmp(hello->sni, "cloudflare-ech.com") == 0);
}

// Of no provider: passed through untouched, unless the operator names what may be.
static enum sg_first pass(const struct sg_client *client, const char *host)
{
	return sg_agent_may_pass(
		       client->agent, host, client->flow.destination, client->flow.destination_port)
		       ? SG_FIRST_TUNNEL
		       : refuse(client, "no provider's, and not among the configuration's "
					"pass_hosts");
}

// No provider's, as far as its name tells.
static enum sg_first pass_tls(const struct sg_client *client, const struct sg_hello *hello)
{
	if (is_unnamed(hello) && client->flow.destination_port == HTTPS_PORT &&
		!client->agent->unnamed_tls)
		return refuse(client, "TLS that names no host, which may be a provider's: see "
				      "unnamed_tls in the configuration");
	return pass(client, hello->sni);
}

static enum sg_first route_tls(struct sg_client *client, const uint8_t *data, size_t length)
{
	struct sg_hello hello;
	size_t need;
	int r = sg_hello_parse(data, length, &hello, &need);

	if (r == 0)
		return SG_FIRST_MORE;
	if (r < 0)
		return refuse(client, "malformed ClientHello");
	if (!find_provider(client, hello.sni))
		return pass_tls(client, &hello);
	if (hello.offers_alpn && !hello.offers_http11 && !hello.offers_h2)
		// The handshake goes on and ends with no_application_protocol, which tells the
		// client more than a reset.
		sg_log(SG_LOG_WARN, "refused",
			"agent=%s connection=%llu host=%s reason=\"the client offers neither "
			"http/1.1 nor h2\"",
			client->agent->name, (unsigned long long)client->connection, client->host);
	return take(client, SG_FIRST_TLS);
}

// Could these bytes be the start of an HTTP/1 request: a method token and a blank?
static bool looks_like_http(const uint8_t *data, size_t length)
{
	static const char *const methods[] = { "GET ", "POST ", "PUT ", "HEAD ", "DELETE ",
		"OPTIONS ", "PATCH ", "CONNECT ", "TRACE " };

	for (size_t i = 0; i < SG_ARRAY_SIZE(methods); i++) {
		size_t compared = strlen(methods[i]) < length ? strlen(methods[i]) : length;

		if (memcmp(data, methods[i], compared) == 0)
			return true;
	}
	return false;
}

// Is this host, as a request names it, a provider's?
static bool is_provider(struct sg_client *client, struct sg_str name)
{
	char host[256] = "";

	if (name.length >= sizeof(host))
		return false;
	for (size_t i = 0; i < name.length; i++) {
		char c = name.data[i];

		host[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	return find_provider(client, host);
}

// Does a line of a head that is not HTTP, as strictly read, name a provider all the same?
static bool hints_at_provider(struct sg_client *client, const char *data, size_t length)
{
	const char *end = data + length, *line = data;

	while ((line = memchr(line, '\n', (size_t)(end - line)))) {
		struct sg_str name;

		line++;
		if (end - line < 5 || strncasecmp(line, "host:", 5) != 0)
			continue;
		name.data = line + 5;
		while (name.data < end && (*name.data == ' ' || *name.data == '\t'))
			name.data++;
		name.length = 0;
		while (name.data + name.length < end && !strchr(" \t\r\n:", name.data[name.length]))
			name.length++;
		if (is_provider(client, name))
			return true;
	}
	return false;
}

static enum sg_first route_http(struct sg_client *client, const char *data, size_t length)
{
	struct sg_h1_head head;
	const char *reason;
	ssize_t r;

	// Registered addresses are ours whatever is said there: a malformed head gets its 400 from
	// the session.
	if (find_provider(client, ""))
		return take(client, SG_FIRST_HTTP);
	r = sg_h1_parse_head(SG_H1_REQUEST, false, data, length, &head, &reason);
	if (r == 0)
		return SG_FIRST_MORE;
	if (r < 0)
		return hints_at_provider(client, data, length)
			       ? refuse(client, "a provider's name in what is not HTTP")
			       : pass(client, "");
	if (!is_provider(client, head.host))
		return pass(client, client->host);
	// Whoever answers there may say of usage what he likes, which is no evidence.
	client->unproven = !client->registered;
	return take(client, SG_FIRST_HTTP);
}

// Whose host a connection of plain HTTP/2 is for can't be told by its first bytes: it is served
// where the destination is registered.
static enum sg_first route_http2(struct sg_client *client, size_t length)
{
	if (!find_provider(client, ""))
		return pass(client, "");
	return length < SG_H2_PREFACE_BYTES ? SG_FIRST_MORE : take(client, SG_FIRST_HTTP2);
}

// Do these bytes start as HTTP/2's preface does? No method of HTTP/1 that we know has its first two
// letters.
static bool is_http2(const uint8_t *data, size_t length)
{
	size_t compared = length < SG_H2_PREFACE_BYTES ? length : SG_H2_PREFACE_BYTES;

	return memcmp(data, SG_H2_PREFACE, compared) == 0;
}

// Do these bytes start as some server or other would take for TLS: a record of TLS (RFC 8446, 5.1),
// whatever its version, or a ClientHello in the form of SSL 2 (RFC 5246, E.2)?
static bool looks_like_tls(const uint8_t *data, size_t length)
{
	return (data[0] >= 0x14 && data[0] <= 0x17) ||
	       ((data[0] & 0x80) && (length < 3 || data[2] == 1));
}

bool sg_route_may_greet(const struct sg_client *client)
{
	return !sg_agent_origin_by_address(
		       client->agent, client->flow.destination, client->flow.destination_port) &&
	       sg_agent_may_pass(
		       client->agent, "", client->flow.destination, client->flow.destination_port);
}

enum sg_first sg_route_first_bytes(struct sg_client *client, const uint8_t *data, size_t length)
{
	size_t blank = 0;

	if (looks_like_tls(data, length))
		return (data[0] & 0x80) && length < 3 ? SG_FIRST_MORE
						      : route_tls(client, data, length);
	if (is_http2(data, length))
		return length < 2 ? SG_FIRST_MORE : route_http2(client, length);
	// RFC 9112, 2.2: a server may pass over empty lines before a request.
	while (blank < length && (data[blank] == '\r' || data[blank] == '\n'))
		blank++;
	if (blank && blank == length)
		return SG_FIRST_MORE;
	if (looks_like_http(data + blank, length - blank))
		return route_http(client, (const char *)data + blank, length - blank);
	// A registered address is ours whatever is said there: the session's parser has the answer.
	return find_provider(client, "") ? take(client, SG_FIRST_HTTP) : pass(client, "");
}
