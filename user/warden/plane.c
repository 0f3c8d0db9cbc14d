// SPDX-License-Identifier: Apache-2.0
#include "warden/plane.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/fd.h"

#define DEFAULT_TIMEOUT_MS 1000
#define MAX_TIMEOUT_MS	   60000
#define TOKEN_LIMIT	   4096

// ---- From the environment ----

// What the reference reads, under its own names.
static const struct {
	const char *variable, *key;
	bool is_number;
} variables[] = {
	{ "CLLAMA_POLICY_URL", "url", false },
	{ "CLLAMA_POLICY_TOKEN", "token", false },
	{ "CLLAMA_POLICY_TIMEOUT_MS", "timeout_ms", true },
	{ "CLLAMA_POLICY_FAIL_MODE", "fail_mode", false },
};

static int take_variable(json_t *policy, size_t index, struct sg_error *error)
{
	const char *text = getenv(variables[index].variable);
	json_t *value;
	char *end;

	if (!text || !*text)
		return 0;
	if (variables[index].is_number) {
		value = json_integer(strtoll(text, &end, 10));
		if (*end) {
			json_decref(value);
			return sg_error_set(error, -EINVAL, "%s: \"%s\" is no number",
				variables[index].variable, text);
		}
	} else {
		value = json_string(text);
	}
	return json_object_set_new(policy, variables[index].key, value) < 0
		       ? sg_error_set(error, -EINVAL, "%s: is no text", variables[index].variable)
		       : 0;
}

// The file says more than the environment.
static int take_environment(json_t *config, struct sg_error *error)
{
	const char *url = getenv(variables[0].variable);
	const char *mode = getenv("CLLAMA_BUDGET_FAIL_MODE");
	json_t *policy;
	int r = 0;

	if (mode && *mode && !json_object_get(config, "budget_fail_mode"))
		json_object_set_new(config, "budget_fail_mode", json_string(mode));
	if (json_object_get(config, "policy") || !url || !*url)
		return 0;
	policy = json_object();
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(variables); i++)
		r = take_variable(policy, i, error);
	if (r < 0) {
		json_decref(policy);
		return r;
	}
	return json_object_set_new(config, "policy", policy) < 0
		       ? sg_error_set(error, -ENOMEM, "out of memory")
		       : 0;
}

// ---- The URL ----

struct url {
	bool tls;
	char host[254];
	char port[6];
	const char *path;
};

static int parse_url(const char *text, struct url *url)
{
	const char *at = text, *end, *colon;
	size_t length;

	if (strncmp(at, "http://", 7) == 0)
		at += 7;
	else if (strncmp(at, "https://", 8) == 0)
		at += 8;
	else
		return -EINVAL;
	url->tls = text[4] == 's';
	end = at + strcspn(at, "/?#");
	colon = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : at;
	colon = colon ? memchr(colon, ':', (size_t)(end - colon)) : NULL;
	length = (size_t)((colon ? colon : end) - at);
	if (*at == '[' && length >= 2) { // [::1]
		at++;
		length -= 2;
	}
	if (!length || length >= sizeof(url->host) || memchr(at, '@', length) || *end == '?' ||
		*end == '#' || (colon && (size_t)(end - colon) > sizeof(url->port)))
		return -EINVAL;
	snprintf(url->host, sizeof(url->host), "%.*s", (int)length, at);
	snprintf(url->port, sizeof(url->port), "%.*s", colon ? (int)(end - colon - 1) : 3,
		colon	   ? colon + 1
		: url->tls ? "443"
			   : "80");
	url->path = end;
	return 0;
}

static int look_up(const struct url *url, char *out, size_t size, struct sg_error *error)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	uint8_t address[16] = { [10] = 0xff, [11] = 0xff };
	uint16_t port;
	int r = getaddrinfo(url->host, url->port, &hints, &found);

	if (r != 0)
		return sg_error_set(error, -EINVAL,
			"policy.url: %s: %s (a name is looked up here, on the host)", url->host,
			gai_strerror(r));
	if (found->ai_family == AF_INET6) {
		const struct sockaddr_in6 *to = (const void *)found->ai_addr;

		memcpy(address, &to->sin6_addr, 16);
		port = ntohs(to->sin6_port);
	} else {
		const struct sockaddr_in *to = (const void *)found->ai_addr;

		memcpy(address + 12, &to->sin_addr, 4);
		port = ntohs(to->sin_port);
	}
	freeaddrinfo(found);
	sg_address_format(address, port, out, size);
	return 0;
}

static int complete_url(json_t *policy, struct sg_error *error)
{
	const char *text = json_string_value(json_object_get(policy, "url"));
	char address[64], path[128];
	struct url url;
	size_t length;
	int r;

	if (!text || parse_url(text, &url) < 0)
		return sg_error_set(
			error, -EINVAL, "policy.url: must be http://HOST[:PORT][/PATH], or https");
	length = strlen(url.path);
	while (length && url.path[length - 1] == '/')
		length--;
	if (length >= sizeof(path))
		return sg_error_set(error, -EINVAL, "policy.url: the path is too long");
	snprintf(path, sizeof(path), "%.*s", (int)length, url.path);
	r = look_up(&url, address, sizeof(address), error);
	if (r < 0)
		return r;
	json_object_set_new(policy, "address", json_string(address));
	json_object_set_new(policy, "host", json_string(url.host));
	json_object_set_new(policy, "path", json_string(path));
	json_object_set_new(policy, "tls", json_boolean(url.tls));
	return 0;
}

// ---- The rest ----

static int complete_token(json_t *policy, struct sg_error *error)
{
	const char *path = json_string_value(json_object_get(policy, "token_file"));
	const char *token;
	char *text;
	size_t length;
	int r;

	if (path) {
		r = sg_fd_read_file(path, TOKEN_LIMIT, &text, &length);
		if (r < 0)
			return sg_error_set(
				error, r, "policy.token_file: %s: %s", path, strerror(-r));
		length = strcspn(text, "\r\n");
		json_object_set_new(policy, "token", json_stringn(text, length));
		explicit_bzero(text, length);
		free(text);
	}
	token = json_string_value(json_object_get(policy, "token"));
	for (; token && *token; token++)
		if (*token <= ' ' || *token > '~')
			return sg_error_set(error, -EINVAL,
				"policy.token: has a character that no header can carry");
	return 0;
}

static int complete_choices(json_t *policy, struct sg_error *error)
{
	const char *mode = json_string_value(json_object_get(policy, "fail_mode"));
	const json_t *timeout = json_object_get(policy, "timeout_ms");

	if (mode && strcmp(mode, "open") != 0 && strcmp(mode, "closed") != 0)
		return sg_error_set(error, -EINVAL, "policy.fail_mode: must be closed or open");
	if (!timeout)
		return json_object_set_new(policy, "timeout_ms", json_integer(DEFAULT_TIMEOUT_MS));
	if (!json_is_integer(timeout) || json_integer_value(timeout) < 1 ||
		json_integer_value(timeout) > MAX_TIMEOUT_MS)
		return sg_error_set(error, -EINVAL,
			"policy.timeout_ms: must be a number from 1 to %d", MAX_TIMEOUT_MS);
	return 0;
}

static int check_keys(
	json_t *object, const char *const *known, const char *place, struct sg_error *error)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		size_t i = 0;

		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			return sg_error_set(error, -EINVAL, "%s: unknown key \"%s\"", place, key);
		if (!json_is_string(value) && strcmp(key, "timeout_ms") != 0 &&
			strcmp(key, "rules") != 0)
			return sg_error_set(error, -EINVAL, "%s.%s: must be a string", place, key);
	}
	return 0;
}

int sg_plane_complete(json_t *config, struct sg_error *error)
{
	static const char *const keys[] = { "url", "token", "token_file", "timeout_ms", "fail_mode",
		"rules", NULL };
	static const char *const rules_keys[] = { "path", "digest", NULL };
	json_t *policy, *rules;
	int r = take_environment(config, error);

	policy = json_object_get(config, "policy");
	if (r < 0 || !policy)
		return r;
	rules = json_object_get(policy, "rules");
	if (!json_is_object(policy) || (rules && !json_is_object(rules)))
		return sg_error_set(
			error, -EINVAL, "policy%s: must be an object", rules ? ".rules" : "");
	r = check_keys(policy, keys, "policy", error);
	if (r == 0 && rules)
		r = check_keys(rules, rules_keys, "policy.rules", error);
	if (r == 0)
		r = complete_choices(policy, error);
	if (r == 0)
		r = complete_token(policy, error);
	return r < 0 ? r : complete_url(policy, error);
}
