// SPDX-License-Identifier: Apache-2.0
// Which hosts are whose, and which paths cost money. Unknown POST paths of a known provider are
// never free.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "provider/api.h"

#define MAX_PATH 512

struct path_rule {
	const char *pattern; // '*' stands for one or more segments at the end, '+' for exactly one
			     // segment
	const struct sg_api *api; // NULL: free
};

struct sg_provider {
	const char *name;
	const char *const *hosts;     // exact, or a domain whose subdomains are regions
	const struct path_rule *post; // POST, PUT, PATCH
};

static const char *const openai_hosts[] = { "api.openai.com", NULL };
static const struct path_rule openai_post[] = {
	{ "/v1/chat/completions", &sg_api_openai_chat },
	{ "/v1/responses", &sg_api_openai_responses },
	{ "/v1/moderations", NULL },
	{ "/v1/responses/input_tokens", NULL },
	{ "/v1/responses/+/cancel", NULL },
	{ "/v1/files", NULL },
	{ "/v1/uploads", NULL },
	{ "/v1/uploads/*", NULL },
	{ "/v1/conversations", NULL },
	{ "/v1/conversations/*", NULL },
	{ "/v1/batches/+/cancel", NULL },
	{ "/v1/organization/*", NULL },
	{ NULL, NULL },
};

static const char *const anthropic_hosts[] = { "api.anthropic.com", NULL };
static const struct path_rule anthropic_post[] = {
	{ "/v1/messages", &sg_api_anthropic_messages },
	{ "/v1/messages/count_tokens", NULL },
	{ "/v1/messages/batches/+/cancel", NULL },
	{ "/v1/files", NULL },
	{ "/v1/skills", NULL },
	{ "/v1/skills/*", NULL },
	{ "/v1/organizations/*", NULL },
	{ NULL, NULL },
};

static const struct sg_provider providers[] = {
	{ "openai", openai_hosts, openai_post },
	{ "anthropic", anthropic_hosts, anthropic_post },
};

// "eu.api.openai.com" is a region of "api.openai.com".
static bool is_host_of(const char *known, const char *host, size_t length)
{
	size_t known_length = strlen(known);

	// "api.openai.com." is the same name, written from the root of the DNS.
	if (length && host[length - 1] == '.')
		length--;
	if (length < known_length ||
		strncasecmp(host + length - known_length, known, known_length) != 0)
		return false;
	return length == known_length || host[length - known_length - 1] == '.';
}

const struct sg_provider *sg_provider_by_host(const char *host, size_t length)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(providers); i++)
		for (const char *const *known = providers[i].hosts; *known; known++)
			if (is_host_of(*known, host, length))
				return &providers[i];
	return NULL;
}

const struct sg_provider *sg_provider_by_name(const char *name)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(providers); i++)
		if (strcmp(providers[i].name, name) == 0)
			return &providers[i];
	return NULL;
}

const char *sg_provider_name(const struct sg_provider *provider)
{
	return provider->name;
}

const char *sg_provider_host(unsigned index)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(providers); i++)
		for (const char *const *known = providers[i].hosts; *known; known++)
			if (index-- == 0)
				return *known;
	return NULL;
}

const char *sg_api_name(const struct sg_api *api)
{
	return api->name;
}

// ---- Paths ----

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Decodes escapes and joins doubled slashes, as a lenient server might: matching must not be easier
// to fool than it. Dot segments, encoded slashes and NULs are not understood: such a path is
// unknown.
static bool normalise(struct sg_str path, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < path.length && path.data[i] != '?' && path.data[i] != '#'; i++) {
		char c = path.data[i];

		if (c == '%') {
			int high = i + 2 < path.length ? hex_digit(path.data[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(path.data[i + 2]) : -1;

			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
			if (c == '/' || c == 0 || c == '%')
				return false;
		}
		if (c == '/' && used && out[used - 1] == '/')
			continue;
		if (c == '\\' || used + 2 > size)
			return false;
		out[used++] = c;
	}
	if (used > 1 && out[used - 1] == '/')
		used--;
	out[used] = 0;
	return used && out[0] == '/' && !strstr(out, "/./") && !strstr(out, "/../") &&
	       !(used >= 2 && strcmp(out + used - 2, "/.") == 0) &&
	       !(used >= 3 && strcmp(out + used - 3, "/..") == 0);
}

static bool matches(const char *pattern, const char *path)
{
	while (*pattern) {
		if (*pattern == '*')
			return *path != 0;
		if (*pattern == '+') {
			size_t segment = strcspn(path, "/");

			if (!segment)
				return false;
			path += segment;
			pattern++;
			continue;
		}
		if (*pattern++ != *path++)
			return false;
	}
	return *path == 0;
}

static bool method_is(struct sg_str method, const char *name)
{
	return method.length == strlen(name) && memcmp(method.data, name, method.length) == 0;
}

struct sg_route sg_provider_route(
	const struct sg_provider *provider, struct sg_str method, struct sg_str path, bool upgrade)
{
	static const struct sg_route unknown = { SG_ROUTE_UNKNOWN, NULL },
				     free_route = { SG_ROUTE_FREE, NULL };
	char normal[MAX_PATH];

	// A WebSocket (realtime, responses) would carry what is not metered yet.
	if (upgrade)
		return unknown;
	if (method_is(method, "GET") || method_is(method, "HEAD") || method_is(method, "OPTIONS") ||
		method_is(method, "DELETE"))
		return free_route;
	if (!(method_is(method, "POST") || method_is(method, "PUT") ||
		    method_is(method, "PATCH")) ||
		!normalise(path, normal, sizeof(normal)))
		return unknown;
	for (const struct path_rule *rule = provider->post; rule->pattern; rule++) {
		if (!matches(rule->pattern, normal))
			continue;
		if (!rule->api)
			return free_route;
		return method_is(method, "POST") ? (struct sg_route){ SG_ROUTE_METERED, rule->api }
						 : unknown;
	}
	return unknown;
}
