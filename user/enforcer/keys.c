// SPDX-License-Identifier: Apache-2.0
#include "enforcer/keys.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/client.h"
#include "provider/credential.h"

struct key {
	const struct sg_provider *provider;
	char host[256]; // glob; "": all of the provider's
	char key[SG_KEY_BYTES];
};

struct sg_keys {
	size_t count;
	struct key list[];
};

static int parse_key(const json_t *item, struct key *key, struct sg_error *error)
{
	const char *provider = json_string_value(json_object_get(item, "provider"));
	const char *host = json_string_value(json_object_get(item, "host"));
	const char *text = json_string_value(json_object_get(item, "key"));

	key->provider = provider ? sg_provider_by_name(provider) : NULL;
	if (!key->provider || !text || strlen(text) >= sizeof(key->key) ||
		(host && strlen(host) >= sizeof(key->host)))
		return sg_error_set(error, -EINVAL, "keys: an entry of provider %s is malformed",
			provider ? provider : "(none)");
	strcpy(key->key, text);
	if (host)
		strcpy(key->host, host);
	return 0;
}

int sg_keys_parse(const json_t *list, struct sg_keys **ret_keys, struct sg_error *error)
{
	size_t count = json_array_size(list);
	struct sg_keys *keys = NULL;
	int r = 0;

	if (count) {
		keys = calloc(1, sizeof(*keys) + count * sizeof(*keys->list));
		if (!keys)
			return sg_error_set(error, -ENOMEM, "out of memory");
		keys->count = count;
	}
	for (size_t i = 0; r == 0 && i < count; i++)
		r = parse_key(json_array_get(list, i), &keys->list[i], error);
	if (r < 0)
		keys = sg_keys_free(keys);
	*ret_keys = keys;
	return r;
}

struct sg_keys *sg_keys_free(struct sg_keys *keys)
{
	if (keys)
		explicit_bzero(keys->list, keys->count * sizeof(*keys->list));
	free(keys);
	return NULL;
}

const char *sg_keys_of_client(const struct sg_client *client)
{
	const struct sg_keys *keys = client->agent->keys;

	// Only over TLS that is verified by a name of the provider itself.
	if (!keys || !client->own_host || !client->pool_origin || !client->pool_origin->key.context)
		return NULL;
	for (size_t i = 0; i < keys->count; i++)
		if (keys->list[i].provider == client->provider &&
			(!keys->list[i].host[0] ||
				fnmatch(keys->list[i].host, client->host, FNM_CASEFOLD) == 0))
			return keys->list[i].key;
	return NULL;
}
