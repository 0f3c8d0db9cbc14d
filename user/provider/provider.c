// SPDX-License-Identifier: Apache-2.0
// Which hosts are whose, and the providers of the configuration.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "provider/table.h"
#include "tokens/tokens.h"

#define MAX_CONFIGURED	 64
#define CONFIGURED_HOSTS 16
#define MAX_HOST	 254
#define MAX_PREFIX	 64

// A provider of the configuration: OpenAI's API at its own hosts.
struct configured {
	struct sg_provider provider;
	char name[24];
	char prefix[MAX_PREFIX];
	char names[CONFIGURED_HOSTS][MAX_HOST];
	const char *hosts[CONFIGURED_HOSTS + 1];
	struct sg_path_group posts[2];
};

static struct configured *configured;
static size_t configured_count;

const struct sg_provider *sg_provider_at(size_t index)
{
	if (index < sg_provider_count)
		return &sg_providers[index];
	index -= sg_provider_count;
	return index < configured_count ? &configured[index].provider : NULL;
}

// ---- Hosts ----

// '*' stands for one or more characters within a label.
static bool host_matches(const char *pattern, const char *host, size_t length)
{
	while (*pattern && *pattern != '*') {
		if (!length || (*pattern | 0x20) != (*host | 0x20))
			return false;
		pattern++;
		host++;
		length--;
	}
	if (!*pattern)
		return length == 0;
	for (size_t i = 1; i <= length && host[i - 1] != '.'; i++)
		if (host_matches(pattern + 1, host + i, length - i))
			return true;
	return false;
}

// "eu.api.openai.com" is a region of "api.openai.com". Returns the bytes before the known name, or
// -1.
static ssize_t before_known(const char *known, const char *host, size_t length)
{
	// "api.openai.com." is the same name, written from the root of the DNS.
	if (length && host[length - 1] == '.')
		length--;
	for (size_t i = 0; i < length; i++)
		if ((i == 0 || host[i - 1] == '.') && host_matches(known, host + i, length - i))
			return (ssize_t)i;
	return -1;
}

const struct sg_provider *sg_provider_by_host(const char *host, size_t length)
{
	const struct sg_provider *provider;

	for (size_t i = 0; (provider = sg_provider_at(i)); i++)
		for (const char *const *known = provider->hosts; *known; known++)
			if (before_known(*known, host, length) >= 0)
				return provider;
	return NULL;
}

bool sg_provider_is_region(const char *host, size_t length)
{
	const struct sg_provider *provider = sg_provider_by_host(host, length);
	bool region = false;

	for (const char *const *known = provider ? provider->hosts : NULL; known && *known;
		known++) {
		ssize_t before = before_known(*known, host, length);

		if (before == 0)
			return false;
		region = region || before > 0;
	}
	return region;
}

const struct sg_provider *sg_provider_by_name(const char *name)
{
	const struct sg_provider *provider;

	for (size_t i = 0; (provider = sg_provider_at(i)); i++)
		if (strcmp(provider->name, name) == 0)
			return provider;
	return NULL;
}

const char *sg_provider_name(const struct sg_provider *provider)
{
	return provider->name;
}

unsigned sg_provider_traits(const struct sg_provider *provider)
{
	return provider->traits;
}

bool sg_provider_has_hosts(const struct sg_provider *provider)
{
	return provider->hosts[0] != NULL;
}

// Certificates are constrained to whole domains: what is behind the last label with a '*'.
static const char *domain_of(const char *host)
{
	const char *star = strrchr(host, '*');

	return star ? strchr(star, '.') + 1 : host;
}

const char *sg_provider_host(unsigned index)
{
	const struct sg_provider *provider;

	for (size_t i = 0; (provider = sg_provider_at(i)); i++)
		for (const char *const *known = provider->hosts; *known; known++)
			if (index-- == 0)
				return domain_of(*known);
	return NULL;
}

// Copies up to `end`; nothing where it does not come, or is too far.
static void copy_part(const char *text, size_t length, char end, char out[32])
{
	const char *stop = memchr(text, end, length);
	size_t part = stop ? (size_t)(stop - text) : 0;

	if (part >= 32)
		return;
	memcpy(out, text, part);
	out[part] = 0;
}

void sg_provider_region(struct sg_str host, struct sg_str path, char out[32])
{
	static const char locations[] = "/locations/", amazon[] = "bedrock";
	const char *at = memmem(path.data, path.length, locations, sizeof(locations) - 1);
	const char *dot;

	out[0] = 0;
	if (at) {
		at += sizeof(locations) - 1;
		copy_part(at, path.length - (size_t)(at - path.data), '/', out);
	} else if (host.length >= sizeof(amazon) - 1 &&
		   memcmp(host.data, amazon, sizeof(amazon) - 1) == 0 &&
		   (dot = memchr(host.data, '.', host.length))) {
		copy_part(dot + 1, host.length - (size_t)(dot + 1 - host.data), '.', out);
	}
}

bool sg_provider_shows_output(const struct sg_provider *provider, const struct sg_api *api,
	const struct sg_request_facts *facts)
{
	// OpenAI's models that do not reason. Their successors do, and show nothing of it; audio is
	// no text, and a search has a fee of its own.
	static const char *const shown[] = { "gpt-4", "gpt-3.5", "chatgpt-4o", "ft:gpt-4",
		"ft:gpt-3.5" };
	static const char *const not_shown[] = { "audio", "realtime", "search", "transcribe" };

	if (!(provider->traits & SG_TRAIT_STOPS) || !api->end_stream || facts->tool_turns ||
		facts->background || facts->thinks || facts->unbounded || facts->prediction_bytes ||
		facts->other_model[0])
		return false;
	if (strcmp(provider->name, "openai") != 0)
		return true;
	for (size_t i = 0; i < SG_ARRAY_SIZE(not_shown); i++)
		if (strstr(facts->model, not_shown[i]))
			return false;
	for (size_t i = 0; i < SG_ARRAY_SIZE(shown); i++)
		if (strncmp(facts->model, shown[i], strlen(shown[i])) == 0)
			return true;
	return false;
}

// What loops, compacts or falls back reads more than once: their bound is another one. Other hosts
// that speak Anthropic's API begin with counts that are no such word.
bool sg_provider_tells_input(const struct sg_provider *provider, const struct sg_api *api,
	const struct sg_request_facts *facts)
{
	return api == &sg_api_anthropic_messages && strcmp(provider->name, "anthropic") == 0 &&
	       facts->stream && !facts->tool_turns && !facts->unbounded &&
	       (!facts->context_window || facts->images_only);
}

const struct sg_vocabulary *sg_provider_vocabulary(
	const struct sg_provider *provider, const char *model)
{
	return strcmp(provider->name, "openai") == 0 ? sg_vocabulary_of_model(model) : NULL;
}

const char *sg_api_name(const struct sg_api *api)
{
	return api->name;
}

// ---- Providers of the configuration ----

static bool is_plain(const char *text, const char *allowed, size_t size)
{
	return text && *text && strlen(text) < size && strspn(text, allowed) == strlen(text);
}

static int configure_hosts(const json_t *hosts, struct configured *row, struct sg_error *error)
{
	size_t index;
	json_t *host;

	if (!json_is_array(hosts) || json_array_size(hosts) > CONFIGURED_HOSTS)
		return sg_error_set(error, -EINVAL,
			"provider %s: hosts must be a list of at most %d names", row->name,
			CONFIGURED_HOSTS);
	json_array_foreach((json_t *)hosts, index, host)
	{
		const char *name = json_string_value(host);

		if (!name || !is_plain(name, "abcdefghijklmnopqrstuvwxyz0123456789-.", MAX_HOST) ||
			!strchr(name, '.'))
			return sg_error_set(error, -EINVAL,
				"provider %s: hosts[%zu] must be a host name in lower case",
				row->name, index);
		if (sg_provider_by_host(name, strlen(name)))
			return sg_error_set(error, -EINVAL,
				"provider %s: %s is known already, as a host of %s", row->name,
				name, sg_provider_by_host(name, strlen(name))->name);
		strcpy(row->names[index], name);
		row->hosts[index] = row->names[index];
	}
	return 0;
}

static int configure(const json_t *item, struct configured *row, struct sg_error *error)
{
	static const char *const known[] = { "name", "hosts", "prefix", NULL };
	const char *name = json_string_value(json_object_get(item, "name"));
	const json_t *prefix = json_object_get(item, "prefix");
	const char *unknown = sg_json_unknown_key(item, known);

	if (!name || !is_plain(name, "abcdefghijklmnopqrstuvwxyz0123456789-_", sizeof(row->name)) ||
		sg_provider_by_name(name))
		return sg_error_set(error, -EINVAL,
			"providers[%zu]: name must be a new one, in lower case, of at most %zu "
			"bytes",
			configured_count, sizeof(row->name) - 1);
	strcpy(row->name, name);
	if (unknown)
		return sg_error_set(
			error, -EINVAL, "provider %s: unknown key \"%.40s\"", name, unknown);
	if (prefix && (!is_plain(json_string_value(prefix),
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./",
			       MAX_PREFIX) ||
			      json_string_value(prefix)[0] != '/' ||
			      json_string_value(prefix)[json_string_length(prefix) - 1] == '/'))
		return sg_error_set(error, -EINVAL,
			"provider %s: prefix must be the start of its paths, as \"/v1\"", name);
	strcpy(row->prefix, prefix ? json_string_value(prefix) : "/v1");
	row->posts[0] = (struct sg_path_group){ row->prefix, sg_compatible_rules };
	row->provider = (struct sg_provider){ .name = row->name,
		.hosts = row->hosts,
		.posts = row->posts,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_STOPS | SG_TRAIT_OLD_LIMIT_ONLY };
	return configure_hosts(json_object_get(item, "hosts"), row, error);
}

int sg_providers_configure(const json_t *list, struct sg_error *error)
{
	size_t count = json_array_size(list);
	struct configured *rows;
	int r = 0;

	if (!list)
		return 0;
	if (!json_is_array(list) || count > MAX_CONFIGURED)
		return sg_error_set(
			error, -EINVAL, "providers: must be a list of at most %d", MAX_CONFIGURED);
	if (!count || configured)
		return 0;
	rows = calloc(count, sizeof(*rows));
	if (!rows)
		return sg_error_set(error, -ENOMEM, "out of memory");
	configured = rows;
	configured_count = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = configure(json_array_get(list, i), &rows[i], error);
		configured_count += r == 0;
	}
	if (r < 0) {
		free(rows);
		configured = NULL;
		configured_count = 0;
	}
	return r;
}
