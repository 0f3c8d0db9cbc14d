// SPDX-License-Identifier: Apache-2.0
#include "warden/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/fd.h"
#include "base/json.h"

#define MAX_TIMEOUT_MS 60000
#define SECRET_LIMIT   4096
#define PATH_BYTES     1024

// ---- The URL ----

struct url {
	bool tls;
	char host[254];
	char port[6];
	const char *path;
};

// A header is made of it.
static bool is_plain(const char *text)
{
	while (*text > ' ' && *text <= '~' && *text != '#')
		text++;
	return !*text;
}

static int parse_url(const char *text, struct url *url)
{
	const char *at = text, *end, *colon;
	size_t length;

	if (!is_plain(text))
		return -EINVAL;
	if (strncmp(at, "http://", 7) == 0)
		at += 7;
	else if (strncmp(at, "https://", 8) == 0)
		at += 8;
	else
		return -EINVAL;
	url->tls = text[4] == 's';
	end = at + strcspn(at, "/?");
	colon = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : at;
	colon = colon ? memchr(colon, ':', (size_t)(end - colon)) : NULL;
	length = (size_t)((colon ? colon : end) - at);
	if (*at == '[' && length >= 2) { // [::1]
		at++;
		length -= 2;
	}
	if (!length || length >= sizeof(url->host) || memchr(at, '@', length) || *end == '?' ||
		(colon && (size_t)(end - colon) > sizeof(url->port)))
		return -EINVAL;
	snprintf(url->host, sizeof(url->host), "%.*s", (int)length, at);
	snprintf(url->port, sizeof(url->port), "%.*s", colon ? (int)(end - colon - 1) : 3,
		colon	   ? colon + 1
		: url->tls ? "443"
			   : "80");
	url->path = end;
	return 0;
}

// An address is taken as it is; a name is looked up when the service runs (resolver.h). Returns 0
// or -EINVAL with the sentence.
static int take_address(
	json_t *object, const char *place, const struct url *url, struct sg_error *error)
{
	char text[sizeof(url->host) + sizeof(url->port) + 4];
	uint8_t address[16];
	unsigned long number;
	uint16_t port;
	char *end;

	number = strtoul(url->port, &end, 10);
	if (*end || number < 1 || number > 65535)
		return sg_error_set(
			error, -EINVAL, "%s.url: the port must be a number from 1 to 65535", place);
	json_object_set_new(object, "port", json_string(url->port));
	snprintf(text, sizeof(text), strchr(url->host, ':') ? "[%s]:%s" : "%s:%s", url->host,
		url->port);
	if (sg_address_parse(text, address, &port) == 0)
		json_object_set_new(object, "address", json_string(text));
	return 0;
}

static int complete_url(json_t *object, const struct sg_remote *remote, struct sg_error *error)
{
	const char *text = json_string_value(json_object_get(object, "url"));
	char path[PATH_BYTES];
	struct url url;
	size_t length;
	int r;

	if (!text || parse_url(text, &url) < 0)
		return sg_error_set(error, -EINVAL,
			"%s.url: must be http://HOST[:PORT][/PATH], or https", remote->place);
	length = strlen(url.path);
	while (remote->is_base && length && url.path[length - 1] == '/')
		length--;
	if (length >= sizeof(path))
		return sg_error_set(error, -EINVAL, "%s.url: the path is too long", remote->place);
	snprintf(path, sizeof(path), "%.*s", (int)length, url.path);
	r = take_address(object, remote->place, &url, error);
	if (r < 0)
		return r;
	json_object_set_new(object, "host", json_string(url.host));
	json_object_set_new(object, "path", json_string(*path || remote->is_base ? path : "/"));
	json_object_set_new(object, "tls", json_boolean(url.tls));
	return 0;
}

// ---- The rest ----

// KEY_file has it in its first line.
static int complete_secret(json_t *object, const struct sg_remote *remote, struct sg_error *error)
{
	char key[32];
	const char *path;
	char *text;
	size_t length;
	int r;

	snprintf(key, sizeof(key), "%s_file", remote->secret);
	path = json_string_value(json_object_get(object, key));
	if (!path)
		return 0;
	r = sg_fd_read_file(path, SECRET_LIMIT, &text, &length);
	if (r < 0)
		return sg_error_set(
			error, r, "%s.%s: %s: %s", remote->place, key, path, strerror(-r));
	length = strcspn(text, "\r\n");
	r = json_object_set_new(object, remote->secret, json_stringn(text, length));
	explicit_bzero(text, length);
	free(text);
	return r < 0 ? sg_error_set(error, -EINVAL, "%s.%s: %s: must be a line of text",
			       remote->place, key, path)
		     : 0;
}

static int complete_timeout(json_t *object, const struct sg_remote *remote, struct sg_error *error)
{
	const json_t *timeout = json_object_get(object, "timeout_ms");

	if (!timeout)
		return json_object_set_new(
			object, "timeout_ms", json_integer(remote->default_timeout_ms));
	if (!json_is_integer(timeout) || json_integer_value(timeout) < 1 ||
		json_integer_value(timeout) > MAX_TIMEOUT_MS)
		return sg_error_set(error, -EINVAL, "%s.timeout_ms: must be a number from 1 to %d",
			remote->place, MAX_TIMEOUT_MS);
	return 0;
}

int sg_remote_check_keys(
	json_t *object, const char *const *known, const char *place, struct sg_error *error)
{
	const char *key = sg_json_unknown_key(object, known);
	json_t *value;

	if (key)
		return sg_error_set(error, -EINVAL, "%s: unknown key \"%s\"", place, key);
	json_object_foreach(object, key, value)
	{
		if (!json_is_string(value) && strcmp(key, "timeout_ms") != 0 &&
			strcmp(key, "rules") != 0)
			return sg_error_set(error, -EINVAL, "%s.%s: must be a string", place, key);
	}
	return 0;
}

int sg_remote_complete(json_t *object, const struct sg_remote *remote, struct sg_error *error)
{
	int r = complete_timeout(object, remote, error);

	if (r == 0)
		r = complete_secret(object, remote, error);
	return r < 0 ? r : complete_url(object, remote, error);
}
