// SPDX-License-Identifier: Apache-2.0
#include "warden/plane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "warden/remote.h"

#define DEFAULT_TIMEOUT_MS 1000

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

// ---- The file's ----

static int check_fail_mode(const json_t *policy, struct sg_error *error)
{
	const char *mode = json_string_value(json_object_get(policy, "fail_mode"));

	if (mode && strcmp(mode, "open") != 0 && strcmp(mode, "closed") != 0)
		return sg_error_set(error, -EINVAL, "policy.fail_mode: must be closed or open");
	return 0;
}

// It goes into a header.
static int check_token(const json_t *policy, struct sg_error *error)
{
	const char *token = json_string_value(json_object_get(policy, "token"));

	for (; token && *token; token++)
		if (*token <= ' ' || *token > '~')
			return sg_error_set(error, -EINVAL,
				"policy.token: has a character that no header can carry");
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
	r = sg_remote_check_keys(policy, keys, "policy", error);
	if (r == 0 && rules)
		r = sg_remote_check_keys(rules, rules_keys, "policy.rules", error);
	if (r == 0)
		r = check_fail_mode(policy, error);
	if (r == 0)
		r = sg_remote_complete(policy,
			&(struct sg_remote){ "policy", "token", DEFAULT_TIMEOUT_MS, true }, error);
	return r < 0 ? r : check_token(policy, error);
}
