// SPDX-License-Identifier: Apache-2.0
// What a method and a path of a provider's mean. Unknown POST paths are never free.
#include <string.h>

#include "provider/table.h"

#define MAX_PATH      512
#define ENCODED_SLASH '\001'

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Is a segment of the path "." or ".."? Also with parameters behind a ';', which some servers take
// off before they resolve it.
static bool has_dot_segment(const char *path)
{
	for (const char *at = path; (at = strchr(at, '/'));) {
		size_t dots = strspn(++at, ".");

		if ((dots == 1 || dots == 2) && strchr("/;", at[dots]))
			return true;
	}
	return false;
}

// Decodes escapes and joins doubled slashes, as a lenient server might: matching must not be easier
// to fool than it. Dot segments, encoded slashes and NULs are not understood: such a path is
// unknown.
static bool normalise(struct sg_str path, unsigned traits, char *out, size_t size)
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
			if (c == '/' && (traits & SG_TRAIT_SLASH_IN_MODEL))
				c = ENCODED_SLASH;
			else if (c == '/' || (unsigned char)c < 0x20 || c == '%')
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
	return used && out[0] == '/' && !has_dot_segment(out);
}

// The segment that names the model, up to what follows it in the pattern. Returns its length, 0:
// there is none.
static size_t take_model(const char *pattern, const char *path, char *model)
{
	size_t length = strcspn(path, "/"), out;

	// "gemini-2.5-pro:generateContent": the method is behind the last colon.
	if (*pattern == ':')
		while (length && path[length] != ':')
			length--;
	if (!length || length >= SG_MODEL_BYTES)
		return 0;
	for (out = 0; out < length; out++)
		model[out] = path[out] == ENCODED_SLASH ? '/' : path[out];
	model[length] = 0;
	return length;
}

static bool matches(const char *pattern, const char *path, char *model)
{
	while (*pattern) {
		size_t segment = 1;

		if (*pattern == '*')
			return *path != 0;
		if (*pattern == '+')
			segment = strcspn(path, "/");
		else if (*pattern == '=')
			segment = take_model(pattern + 1, path, model);
		else if (*pattern != *path)
			return false;
		if (!segment)
			return false;
		path += segment;
		pattern++;
	}
	return *path == 0;
}

static bool method_is(struct sg_str method, const char *name)
{
	return method.length == strlen(name) && memcmp(method.data, name, method.length) == 0;
}

static const struct sg_path_rule *find_rule(
	const struct sg_path_group *groups, const char *path, char *model)
{
	for (const struct sg_path_group *group = groups; group && group->rules; group++) {
		size_t length = strlen(group->prefix);

		if (strncmp(path, group->prefix, length) != 0)
			continue;
		for (const struct sg_path_rule *rule = group->rules; rule->pattern; rule++)
			if (matches(rule->pattern + (rule->pattern[0] == '!'), path + length,
				    model))
				return rule;
	}
	return NULL;
}

static bool is_free_method(struct sg_str method)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "DELETE" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(methods); i++)
		if (method_is(method, methods[i]))
			return true;
	return false;
}

// The value of a parameter of the query, unescaped. Returns its length, 0 when it is not there, or
// -1: it is there twice, too long, or no plain text.
static int query_value(struct sg_str path, const char *name, char *out, size_t size)
{
	const char *at = memchr(path.data, '?', path.length), *end = path.data + path.length;
	size_t name_length = strlen(name), used = 0;
	bool found = false;

	while (at && ++at < end) {
		const char *next = memchr(at, '&', (size_t)(end - at));
		const char *stop = next ? next : end;
		bool here = (size_t)(stop - at) > name_length && at[name_length] == '=' &&
			    memcmp(at, name, name_length) == 0;

		if (here && found)
			return -1;
		for (const char *c = at + name_length + 1; here && c < stop; c++) {
			int high = *c == '%' && c + 2 < stop ? hex_digit(c[1]) : -1;
			int low = high >= 0 ? hex_digit(c[2]) : -1;

			if (used + 1 >= size || *c == '+' || (*c == '%' && low < 1))
				return -1;
			out[used++] = (char)(low < 0 ? *c : high << 4 | low);
			c += low < 0 ? 0 : 2;
		}
		found = found || here;
		at = next;
	}
	out[used] = 0;
	return (int)used;
}

// In any spelling that the query's escapes allow.
static bool is_named(const char *at, const char *stop, const char *name)
{
	for (; at < stop && *at != '='; at++, name++) {
		int high = *at == '%' && stop - at > 2 ? hex_digit(at[1]) : -1;
		int low = high >= 0 ? hex_digit(at[2]) : -1;

		if (!*name || *name != (char)(low < 0 ? *at : high << 4 | low))
			return false;
		at += low < 0 ? 0 : 2;
	}
	return !*name;
}

static bool has_parameter(struct sg_str path, const char *name)
{
	const char *at = memchr(path.data, '?', path.length), *end = path.data + path.length;

	while (at && ++at < end) {
		const char *next = memchr(at, '&', (size_t)(end - at));

		if (is_named(at, next ? next : end, name))
			return true;
		at = next;
	}
	return false;
}

// Google's system parameters: a mask of the answer's fields, also as a header; and Content-Type.
static bool filters_answer(const struct sg_provider *provider, struct sg_str path)
{
	static const char *const names[] = { "fields", "$fields", "$ct" };
	bool found = false;

	for (size_t i = 0; provider->dialect == SG_DIALECT_GOOGLE && i < SG_ARRAY_SIZE(names); i++)
		found = found || has_parameter(path, names[i]);
	return found;
}

bool sg_provider_header_filters(const struct sg_provider *provider, struct sg_str name)
{
	return provider->dialect == SG_DIALECT_GOOGLE && sg_header_is(name, "x-goog-fieldmask");
}

// A session names its model in the query, or in its messages. One that joins a call of WebRTC or
// SIP would speak of media that don't pass here.
static void route_upgrade(const struct sg_provider *provider, const char *normal,
	struct sg_str path, struct sg_route *route)
{
	const char *named_by = (provider->traits & SG_TRAIT_DEPLOYMENTS) && !strstr(normal, "/v1/")
				       ? "deployment"
				       : "model";
	const struct sg_path_rule *rule = find_rule(provider->upgrades, normal, route->model);
	char call[8];
	int named = query_value(path, named_by, route->model, sizeof(route->model));

	if (!rule || named < 0 || query_value(path, "call_id", call, sizeof(call)) != 0 ||
		query_value(path, "intent", call, sizeof(call)) != 0)
		return;
	if (rule->api == &sg_api_openai_realtime && !named)
		return;
	if (rule->api != &sg_api_openai_realtime)
		route->model[0] = 0;
	route->kind = SG_ROUTE_LIVE;
	route->api = rule->api;
}

// A GET is free, and some tell what an earlier call cost.
static void route_get(const struct sg_provider *provider, const char *path, struct sg_route *route)
{
	const struct sg_path_rule *rule = find_rule(provider->gets, path, route->model);

	if (rule && strlen(route->model) < sizeof(route->pending_id)) {
		route->kind = SG_ROUTE_POLL;
		route->api = rule->api;
		strcpy(route->pending_id, route->model);
	}
	route->model[0] = 0;
}

struct sg_route sg_provider_route(
	const struct sg_provider *provider, struct sg_str method, struct sg_str path, bool upgrade)
{
	struct sg_route route = { .kind = SG_ROUTE_UNKNOWN,
		.traits = provider->traits,
		.filters_answer = filters_answer(provider, path) };
	const struct sg_path_rule *rule;
	char normal[MAX_PATH];

	if (upgrade) {
		if (method_is(method, "GET") &&
			normalise(path, provider->traits, normal, sizeof(normal)))
			route_upgrade(provider, normal, path, &route);
		return route;
	}
	if (is_free_method(method)) {
		route.kind = SG_ROUTE_FREE;
		if (method_is(method, "GET") &&
			normalise(path, provider->traits, normal, sizeof(normal)))
			route_get(provider, normal, &route);
		return route;
	}
	if (!(method_is(method, "POST") || method_is(method, "PUT") ||
		    method_is(method, "PATCH")) ||
		!normalise(path, provider->traits, normal, sizeof(normal)))
		return route;
	rule = find_rule(provider->posts, normal, route.model);
	if (rule && !rule->api) {
		route.kind = SG_ROUTE_FREE;
	} else if (rule && method_is(method, "POST")) {
		route.kind = SG_ROUTE_METERED;
		route.api = rule->api;
		route.by_amount = rule->pattern[0] == '!';
	} else {
		route.api = &sg_api_by_amount;
	}
	return route;
}
