// SPDX-License-Identifier: Apache-2.0
#include "warden/definition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/json.h"
#include "budget/policy.h"
#include "warden/config.h"

#define UPSTREAM_CA_LIMIT (4u << 20)

// What agents and profiles have in common.
static int check_policy(const json_t *object, struct sg_error *error)
{
	const char *egress = json_string_value(json_object_get(object, "egress"));
	const json_t *budgets = json_object_get(object, "budgets");
	const json_t *exempt = json_object_get(object, "policy_exempt");
	struct sg_policy policy;
	int r = 0;

	if (egress && strcmp(egress, "agent") != 0 && strcmp(egress, "host") != 0)
		r = sg_error_set(error, -EINVAL, "egress \"%s\": must be agent or host", egress);
	if (r == 0 && exempt && !json_is_boolean(exempt))
		r = sg_error_set(error, -EINVAL, "policy_exempt: must be true or false");
	if (r == 0)
		r = sg_config_check_unknown_model(
			json_string_value(json_object_get(object, "unknown_model")), error);
	if (r == 0)
		r = sg_config_check_pass_hosts(json_object_get(object, "pass_hosts"), error);
	if (r == 0 && budgets)
		r = sg_policy_parse(budgets, &policy, error);
	return r;
}

// ---- Profiles ----

static int check_profile(const char *name, const json_t *profile, struct sg_error *error)
{
	static const char *const texts[] = { "egress", "unknown_model" };
	static const char *const known[] = { "egress", "unknown_model", "budgets", "policy_exempt",
		"pass_hosts", NULL };
	const char *unknown = sg_json_unknown_key(profile, known);
	int r = sg_name_check("profile", name, error);

	if (r == 0 && !json_is_object(profile))
		r = sg_error_set(error, -EINVAL, "%s: must be an object", name);
	if (r == 0 && unknown)
		r = sg_error_set(error, -EINVAL, "%s: unknown key \"%s\"", name, unknown);
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(texts); i++) {
		const json_t *value = json_object_get(profile, texts[i]);

		if (value && !json_is_string(value))
			r = sg_error_set(
				error, -EINVAL, "%s: %s: must be a string", name, texts[i]);
	}
	if (r == 0) {
		r = check_policy(profile, error);
		if (r < 0)
			sg_error_prefix(error, r, "%s: ", name);
	}
	return r;
}

int sg_definition_check_profiles(const json_t *profiles, const char *place, struct sg_error *error)
{
	const char *name;
	json_t *profile;
	int r = 0;

	if (!json_is_object(profiles))
		return sg_error_set(error, -EINVAL, "%s: must be an object", place);
	json_object_foreach((json_t *)profiles, name, profile)
	{
		if (r == 0) {
			r = check_profile(name, profile, error);
			if (r < 0)
				sg_error_prefix(error, r, "%s: ", place);
		}
	}
	return r;
}

static int find_profile(const json_t *config, const json_t *request, const json_t **ret_profile,
	struct sg_error *error)
{
	const char *name = json_string_value(json_object_get(request, "profile"));

	*ret_profile = name ? json_object_get(json_object_get(config, "profiles"), name) : NULL;
	return !name || *ret_profile ? 0
				     : sg_error_set(error, -EINVAL,
					       "profile \"%.80s\": the configuration's profiles "
					       "have none of this "
					       "name",
					       name);
}

// ---- Agents ----

// The first that has the key, wins.
static void copy_first(json_t *definition, const char *key, const json_t *const *sources)
{
	for (; *sources; sources++) {
		json_t *value = json_object_get(*sources, key);

		if (value) {
			json_object_set(definition, key, value);
			return;
		}
	}
}

static json_t *compose(
	const json_t *config, const json_t *request, const json_t *profile, uint32_t id)
{
	static const char *const own[] = { "name", "team", "labels", "container", "guard",
		"profile", "upstream_ca" };
	static const char *const shared[] = { "egress", "unknown_model", "policy_exempt" };
	const json_t *const only_request[] = { request, NULL };
	const json_t *const only_config[] = { config, NULL };
	const json_t *const only_operator[] = { profile ? profile : config, config, NULL };
	const json_t *const everywhere[] = { request, profile ? profile : config, config, NULL };
	json_t *definition = json_object(), *origins = json_array(), *budgets = json_array();

	if (!definition || !origins || !budgets ||
		json_object_set_new(definition, "id", json_integer(id)) < 0) {
		json_decref(definition);
		json_decref(origins);
		json_decref(budgets);
		return NULL;
	}
	for (size_t i = 0; i < SG_ARRAY_SIZE(own); i++)
		copy_first(definition, own[i], only_request);
	for (size_t i = 0; i < SG_ARRAY_SIZE(shared); i++)
		copy_first(definition, shared[i], everywhere);
	copy_first(definition, "max_connections", only_config);
	copy_first(definition, "max_calls", only_config);
	copy_first(definition, "max_body_bytes", only_config);
	copy_first(definition, "unnamed_tls", only_config);
	copy_first(definition, "pass_hosts", only_operator);
	json_array_extend(budgets, json_object_get(profile, "budgets"));
	json_array_extend(budgets, json_object_get(request, "budgets"));
	json_array_extend(origins, json_object_get(request, "origins"));
	json_array_extend(origins, json_object_get(config, "origins"));
	json_object_set_new(definition, "budgets", budgets);
	json_object_set_new(definition, "origins", origins);
	return definition;
}

// Certificates towards providers, from the configuration's file as it is now.
static int add_upstream_ca(const json_t *config, json_t *definition, struct sg_error *error)
{
	const char *path = json_string_value(json_object_get(config, "upstream_ca"));
	char *pem;
	size_t length;
	int r;

	if (!path || json_object_get(definition, "upstream_ca"))
		return 0;
	r = sg_fd_read_file(path, UPSTREAM_CA_LIMIT, &pem, &length);
	if (r < 0)
		return sg_error_set(error, r, "upstream_ca: %s: %s", path, strerror(-r));
	r = json_object_set_new(definition, "upstream_ca", json_stringn(pem, length));
	free(pem);
	return r < 0 ? sg_error_set(error, -EINVAL, "upstream_ca: %s: is no PEM text", path) : 0;
}

// A container has its name of its engine, if no label gives it another.
static int check_name(const json_t *request, struct sg_error *error)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	struct sg_error why;

	if (sg_name_check("agent", name, &why) == 0)
		return 0;
	return sg_error_set(error, -EINVAL, "%s%s", why.text,
		json_object_get(request, "container")
			? ": give it one with the label spendgate.agent"
			: "");
}

int sg_definition_make(const json_t *config, const json_t *request, uint32_t id,
	json_t **ret_definition, struct sg_error *error)
{
	const char *team = json_string_value(json_object_get(request, "team"));
	char labels[SG_LABELS_BYTES];
	const json_t *profile = NULL;
	json_t *definition = NULL;
	int r = check_name(request, error);

	if (r == 0 && team)
		r = sg_name_check("team", team, error);
	if (r == 0)
		r = sg_labels_parse(
			json_object_get(request, "labels"), team, labels, sizeof(labels), error);
	if (r == 0)
		r = sg_config_check_origins(json_object_get(request, "origins"), "origins", error);
	if (r == 0)
		r = find_profile(config, request, &profile, error);
	if (r == 0) {
		definition = compose(config, request, profile, id);
		r = definition ? 0 : sg_error_set(error, -ENOMEM, "out of memory");
	}
	if (r == 0)
		r = check_policy(definition, error);
	if (r == 0)
		r = add_upstream_ca(config, definition, error);
	if (r < 0) {
		json_decref(definition);
		return r;
	}
	*ret_definition = definition;
	return 0;
}
