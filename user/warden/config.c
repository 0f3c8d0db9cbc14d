// SPDX-License-Identifier: Apache-2.0
#include "warden/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/principals.h"
#include "base/address.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/money.h"
#include "budget/policy.h"
#include "provider/price.h"
#include "provider/provider.h"
#include "warden/definition.h"
#include "warden/guards.h"
#include "warden/keys.h"
#include "warden/plane.h"
#include "warden/webhook.h"

#define CONFIG_LIMIT (1u << 20)

typedef int (*check_fn)(const json_t *value, const char *key, struct sg_error *error);

static int check_string(const json_t *value, const char *key, struct sg_error *error)
{
	return json_is_string(value) ? 0
				     : sg_error_set(error, -EINVAL, "%s: must be a string", key);
}

// Read here as a whole, so that a bad table stops the start with a sentence and not the enforcer
// later.
static int check_prices(const json_t *value, const char *key, struct sg_error *error)
{
	const char *path = json_string_value(value);
	struct sg_price_table *table = NULL;
	int r;

	if (!path || *path != '/')
		return sg_error_set(error, -EINVAL, "%s: must be an absolute path", key);
	r = sg_price_table_load(path, &table, error);
	sg_price_table_free(table);
	return r < 0 ? sg_error_prefix(error, r, "%s: ", key) : 0;
}

static int check_directory(const json_t *value, const char *key, struct sg_error *error)
{
	const char *path = json_string_value(value);

	return path && *path == '/'
		       ? 0
		       : sg_error_set(error, -EINVAL, "%s: must be an absolute path", key);
}

static int check_socket_mode(const json_t *value, struct sg_error *error)
{
	const char *text = json_string_value(value);
	size_t length = text ? strlen(text) : 0;

	return !value || (length >= 3 && length <= 4 && strspn(text, "01234567") == length)
		       ? 0
		       : sg_error_set(error, -EINVAL, "socket_mode: must be as \"0660\"");
}

static int check_api(const json_t *value, const char *key, struct sg_error *error)
{
	static const char *const known[] = { "listen", "socket_mode", "principals", NULL };
	const json_t *listen_at = json_object_get(value, "listen");
	struct sg_principals *principals = NULL;
	uint8_t address[16];
	uint16_t port;
	const char *unknown = sg_json_unknown_key(value, known);
	int r = json_is_object(value) ? 0 : sg_error_set(error, -EINVAL, "must be an object");

	if (unknown)
		r = sg_error_set(error, -EINVAL, "unknown key \"%s\"", unknown);
	if (r == 0 && listen_at &&
		(!json_is_string(listen_at) ||
			sg_address_parse(json_string_value(listen_at), address, &port) < 0))
		r = sg_error_set(error, -EINVAL, "listen: must be ADDRESS:PORT, as 127.0.0.1:9797");
	if (r == 0)
		r = check_socket_mode(json_object_get(value, "socket_mode"), error);
	if (r == 0)
		r = sg_principals_parse(json_object_get(value, "principals"), &principals, error);
	sg_principals_free(principals);
	return r < 0 ? sg_error_prefix(error, r, "%s: ", key) : 0;
}

static int check_count(
	const json_t *value, const char *key, json_int_t most, struct sg_error *error)
{
	json_int_t count = json_integer_value(value);

	return json_is_integer(value) && count >= 1 && count <= most
		       ? 0
		       : sg_error_set(error, -EINVAL,
				 "%s: must be a number from 1 to %" JSON_INTEGER_FORMAT, key, most);
}

static int check_workers(const json_t *value, const char *key, struct sg_error *error)
{
	return check_count(value, key, 64, error);
}

static int check_max_connections(const json_t *value, const char *key, struct sg_error *error)
{
	return check_count(value, key, 1000000, error);
}

static int check_max_calls(const json_t *value, const char *key, struct sg_error *error)
{
	return check_count(value, key, 1000000, error);
}

static int check_max_body_bytes(const json_t *value, const char *key, struct sg_error *error)
{
	return check_count(value, key, INT64_C(1) << 40, error);
}

static int check_choice(
	const json_t *value, const char *key, const char *const *choices, struct sg_error *error)
{
	const char *text = json_string_value(value);

	for (size_t i = 0; text && choices[i]; i++)
		if (strcmp(text, choices[i]) == 0)
			return 0;
	return sg_error_set(error, -EINVAL, "%s: must be %s or %s", key, choices[0], choices[1]);
}

static int check_durability(const json_t *value, const char *key, struct sg_error *error)
{
	static const char *const choices[] = { "process", "power", NULL };

	return check_choice(value, key, choices, error);
}

static int check_unnamed_tls(const json_t *value, const char *key, struct sg_error *error)
{
	static const char *const choices[] = { "refuse", "allow", NULL };

	return check_choice(value, key, choices, error);
}

static int check_image_labels(const json_t *value, const char *key, struct sg_error *error)
{
	static const char *const choices[] = { "tighten", "trusted", NULL };

	return check_choice(value, key, choices, error);
}

int sg_config_check_pass_hosts(const json_t *value, struct sg_error *error)
{
	bool good = !value || json_is_array(value);

	for (size_t i = 0; good && i < json_array_size(value); i++)
		good = json_string_length(json_array_get(value, i)) > 0;
	return good ? 0
		    : sg_error_set(error, -EINVAL,
			      "pass_hosts: must be a list of host names or globs, as "
			      "[\"*.github.com\"]");
}

static int check_pass_hosts(const json_t *value, const char *key SG_UNUSED, struct sg_error *error)
{
	return sg_config_check_pass_hosts(value, error);
}

static int check_fail_mode(const json_t *value, const char *key, struct sg_error *error)
{
	static const char *const choices[] = { "closed", "open", NULL };

	return check_choice(value, key, choices, error);
}

static int check_refusal(const json_t *value, const char *key, struct sg_error *error)
{
	static const char *const choices[] = { "provider", "reference", NULL };

	return check_choice(value, key, choices, error);
}

// Read in whole when it is completed, below.
static int check_remote(const json_t *value, const char *key, struct sg_error *error)
{
	return json_is_object(value) ? 0
				     : sg_error_set(error, -EINVAL, "%s: must be an object", key);
}

static int check_log_level(const json_t *value, const char *key, struct sg_error *error)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	const char *text = json_string_value(value);

	for (size_t i = 0; text && i < SG_ARRAY_SIZE(levels); i++)
		if (strcmp(text, levels[i]) == 0)
			return 0;
	return sg_error_set(error, -EINVAL, "%s: must be error, warn, info or debug", key);
}

int sg_config_check_unknown_model(const char *text, struct sg_error *error)
{
	if (!text || strcmp(text, "deny") == 0 || strcmp(text, "allow") == 0 ||
		(strncmp(text, "price_as:", 9) == 0 && text[9] && strlen(text) < SG_MODEL_BYTES))
		return 0;
	return sg_error_set(error, -EINVAL,
		"unknown_model \"%s\": must be deny, allow or price_as:MODEL", text);
}

static int check_unknown_model(const json_t *value, const char *key, struct sg_error *error)
{
	int r = check_string(value, key, error);

	return r < 0 ? r : sg_config_check_unknown_model(json_string_value(value), error);
}

static int check_origin(
	const json_t *origin, const char *place, size_t index, struct sg_error *error)
{
	static const char *const known[] = { "host", "address", "provider", "plain", "http2",
		NULL };
	const char *host = json_string_value(json_object_get(origin, "host"));
	const char *address = json_string_value(json_object_get(origin, "address"));
	const json_t *provider = json_object_get(origin, "provider");
	const json_t *plain = json_object_get(origin, "plain");
	const json_t *http2 = json_object_get(origin, "http2");
	uint8_t bytes[16];
	uint16_t port;
	const char *unknown = sg_json_unknown_key(origin, known);

	if (!json_is_object(origin))
		return sg_error_set(error, -EINVAL, "%s[%zu]: must be an object", place, index);
	if (unknown)
		return sg_error_set(
			error, -EINVAL, "%s[%zu]: unknown key \"%s\"", place, index, unknown);
	if (!host || !*host || strlen(host) > 253 ||
		strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") != strlen(host))
		return sg_error_set(
			error, -EINVAL, "%s[%zu]: host must be a name in lower case", place, index);
	if (!address || sg_address_parse(address, bytes, &port) < 0)
		return sg_error_set(error, -EINVAL,
			"%s[%zu] (%s): address must be ADDRESS:PORT, as 10.0.0.5:443 or [::1]:443",
			place, index, host);
	if (plain && !json_is_boolean(plain))
		return sg_error_set(error, -EINVAL, "%s[%zu] (%s): plain must be true or false",
			place, index, host);
	if (http2 && !json_is_boolean(http2))
		return sg_error_set(error, -EINVAL, "%s[%zu] (%s): http2 must be true or false",
			place, index, host);
	if (provider &&
		(!json_is_string(provider) || !sg_provider_by_name(json_string_value(provider))))
		return sg_error_set(error, -EINVAL,
			"%s[%zu] (%s): unknown provider: docs/providers.md has the names", place,
			index, host);
	if (!provider && !sg_provider_by_host(host, strlen(host)))
		return sg_error_set(error, -EINVAL,
			"%s[%zu]: %s is no known provider: name the one whose API it speaks with "
			"\"provider\" in the "
			"configuration's origins",
			place, index, host);
	return 0;
}

int sg_config_check_origins(const json_t *origins, const char *place, struct sg_error *error)
{
	int r = 0;

	if (!origins)
		return 0;
	if (!json_is_array(origins))
		return sg_error_set(error, -EINVAL, "%s: must be a list", place);
	for (size_t i = 0; r == 0 && i < json_array_size(origins); i++)
		r = check_origin(json_array_get(origins, i), place, i, error);
	return r;
}

static int check_origins(const json_t *value, const char *key, struct sg_error *error)
{
	return sg_config_check_origins(value, key, error);
}

// Taken before all others: origins may name them.
static int check_providers(const json_t *value, const char *key, struct sg_error *error)
{
	return json_is_array(value)
		       ? 0
		       : sg_error_set(error, -EINVAL, "%s: must be a list of providers", key);
}

static int check_upstream_ca(const json_t *value, const char *key, struct sg_error *error)
{
	const char *path = json_string_value(value);

	if (!path || *path != '/')
		return sg_error_set(error, -EINVAL, "%s: must be an absolute path", key);
	return access(path, R_OK) < 0
		       ? sg_error_set(error, -EINVAL, "%s: %s: %s", key, path, strerror(errno))
		       : 0;
}

static int check_profiles(const json_t *value, const char *key, struct sg_error *error)
{
	return sg_definition_check_profiles(value, key, error);
}

// "deny", or what is held (and charged, where nothing else is told) of such a call.
static int check_amount(const json_t *value, const char *key, struct sg_error *error)
{
	const char *text = json_string_value(json_object_get(value, "hold_usd"));
	int64_t nanousd = 0;

	if (json_is_string(value) && strcmp(json_string_value(value), "deny") == 0)
		return 0;
	if (json_object_size(value) != 1 || !text ||
		sg_money_parse(text, strlen(text), 9, &nanousd) < 0 || !nanousd)
		return sg_error_set(error, -EINVAL,
			"%s: must be \"deny\" or {\"hold_usd\": \"2.50\"}: an amount above zero, "
			"in "
			"quotes",
			key);
	return 0;
}

static int check_budgets(const json_t *value, const char *key SG_UNUSED, struct sg_error *error)
{
	struct sg_budget_policy *budgets = NULL;
	unsigned count;
	int r = sg_shared_budgets_parse(value, &budgets, &count, error);

	free(budgets);
	return r;
}

static int check_retention(const json_t *value, const char *key, struct sg_error *error)
{
	const char *text = json_string_value(value);
	int64_t ns;

	return text && sg_window_parse(text, &ns) == 0
		       ? 0
		       : sg_error_set(error, -EINVAL,
				 "%s: must be a duration as \"90d\", or \"lifetime\"", key);
}

static const struct {
	const char *key;
	check_fn check;
} keys[] = {
	{ "user", check_string },
	{ "workers", check_workers },
	{ "max_connections", check_max_connections },
	{ "max_calls", check_max_calls },
	{ "max_body_bytes", check_max_body_bytes },
	{ "unnamed_tls", check_unnamed_tls },
	{ "image_labels", check_image_labels },
	{ "pass_hosts", check_pass_hosts },
	{ "durability", check_durability },
	{ "unknown_model", check_unknown_model },
	{ "unbounded", check_amount },
	{ "unknown_path", check_amount },
	{ "origins", check_origins },
	{ "providers", check_providers },
	{ "upstream_ca", check_upstream_ca },
	{ "profiles", check_profiles },
	{ "keys", sg_keys_check },
	{ "guards", sg_guards_check },
	{ "budgets", check_budgets },
	{ "retention", check_retention },
	{ "prices", check_prices },
	{ "policy", check_remote },
	{ "webhook", check_remote },
	{ "budget_fail_mode", check_fail_mode },
	{ "refusal", check_refusal },
	{ "compiled", check_directory },
	{ "api", check_api },
	{ "governance", check_directory },
	{ "log_level", check_log_level },
};

static int check_config(const json_t *config, struct sg_error *error)
{
	const char *key;
	json_t *value;
	int r = 0;

	if (!json_is_object(config))
		return sg_error_set(error, -EINVAL, "must be a JSON object");
	r = sg_providers_configure(json_object_get(config, "providers"), error);
	if (r < 0)
		return r;
	json_object_foreach((json_t *)config, key, value)
	{
		size_t i = 0;

		while (i < SG_ARRAY_SIZE(keys) && strcmp(keys[i].key, key) != 0)
			i++;
		if (i == SG_ARRAY_SIZE(keys))
			return sg_error_set(error, -EINVAL, "unknown key \"%s\"", key);
		r = keys[i].check(value, key, error);
		if (r < 0)
			break;
	}
	return r;
}

int sg_config_load(const char *path, bool must_exist, json_t **ret_config, struct sg_error *error)
{
	json_t *config;
	char *text;
	size_t length;
	int r = sg_fd_read_file(path, CONFIG_LIMIT, &text, &length);

	if (r == -ENOENT && !must_exist) {
		config = json_object();
		if (!config)
			return sg_error_set(error, -ENOMEM, "out of memory");
	} else if (r < 0) {
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	} else {
		config = sg_json_parse(text, length, path, error);
		free(text);
		if (!config)
			return -EINVAL;
	}
	r = check_config(config, error);
	if (r == 0)
		r = sg_plane_complete(config, error);
	if (r == 0)
		r = sg_webhook_complete(config, error);
	if (r < 0) {
		json_decref(config);
		return sg_error_prefix(error, r, "%s: ", path);
	}
	*ret_config = config;
	return 0;
}
