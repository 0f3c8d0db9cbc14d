// SPDX-License-Identifier: Apache-2.0
#include "api/principals.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/json.h"

#define MAX_PRINCIPALS 256
#define MIN_TOKEN      16
#define MAX_TOKEN      512

struct sg_principal {
	const char *name; // borrowed from the list
	uint8_t token[SHA256_DIGEST_LENGTH];
	unsigned verbs;		// a bit each
	const json_t *patterns; // borrowed
};

struct sg_principals {
	json_t *list; // a reference
	size_t count;
	struct sg_principal items[];
};

static const char *const verb_names[SG_VERB_COUNT] = {
	[SG_VERB_STATUS] = "fleet.status",
	[SG_VERB_METRICS] = "fleet.query_metrics",
	[SG_VERB_BUDGET_GET] = "fleet.budget.get",
	[SG_VERB_BUDGET_SET] = "fleet.budget.set",
	[SG_VERB_AUDIT] = "fleet.audit",
	[SG_VERB_CUT] = "fleet.agent.cut",
};

const char *sg_verb_name(enum sg_verb verb)
{
	return verb_names[verb];
}

// ---- Parsing ----

static int parse_hash(const char *text, uint8_t *out, struct sg_error *error)
{
	if (!text || strlen(text) != 2 * SHA256_DIGEST_LENGTH ||
		strspn(text, "0123456789abcdefABCDEF") != strlen(text))
		return sg_error_set(error, -EINVAL,
			"token_sha256 must be 64 hexadecimal digits: `spendgate token` makes a "
			"token and its hash");
	for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
		char digits[3] = { text[2 * i], text[2 * i + 1], 0 };

		out[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return 0;
}

static int parse_verbs(const json_t *list, unsigned *ret_verbs, struct sg_error *error)
{
	if (!json_is_array(list) || !json_array_size(list))
		return sg_error_set(error, -EINVAL,
			"verbs must be a list, as [\"fleet.status\", \"fleet.budget.set\"]");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		int verb = 0;

		while (text && verb < SG_VERB_COUNT && strcmp(text, verb_names[verb]) != 0)
			verb++;
		if (!text || verb == SG_VERB_COUNT)
			return sg_error_set(
				error, -EINVAL, "verbs: unknown verb \"%.80s\"", text ? text : "");
		*ret_verbs |= 1u << verb;
	}
	return 0;
}

static int parse_patterns(const json_t *object, const json_t **ret_patterns, struct sg_error *error)
{
	const json_t *agents = json_object_get(object, "agents"),
		     *claws = json_object_get(object, "claw_ids");
	const json_t *list = agents ? agents : claws;

	if ((agents && claws) || !json_is_array(list) || !json_array_size(list))
		return sg_error_set(error, -EINVAL,
			"agents must be a list of names or globs, as [\"writer-*\"]");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!json_string_length(json_array_get(list, i)))
			return sg_error_set(
				error, -EINVAL, "agents[%zu] must be a name or a glob", i);
	*ret_patterns = list;
	return 0;
}

static int check_keys(const json_t *object, struct sg_error *error)
{
	static const char *const known[] = { "name", "token_sha256", "verbs", "agents", "claw_ids",
		NULL };
	const char *unknown = sg_json_unknown_key(object, known);

	return unknown ? sg_error_set(error, -EINVAL, "unknown key \"%.80s\"", unknown) : 0;
}

static int parse_one(const json_t *object, struct sg_principal *principal, struct sg_error *error)
{
	int r = json_is_object(object) ? check_keys(object, error)
				       : sg_error_set(error, -EINVAL, "must be an object");

	principal->name = json_string_value(json_object_get(object, "name"));
	if (r == 0 && (!principal->name || !*principal->name || strlen(principal->name) > 64))
		r = sg_error_set(error, -EINVAL, "name must have 1 to 64 characters");
	if (r == 0)
		r = parse_hash(json_string_value(json_object_get(object, "token_sha256")),
			principal->token, error);
	if (r == 0)
		r = parse_verbs(json_object_get(object, "verbs"), &principal->verbs, error);
	if (r == 0)
		r = parse_patterns(object, &principal->patterns, error);
	return r;
}

int sg_principals_parse(
	const json_t *list, struct sg_principals **ret_principals, struct sg_error *error)
{
	size_t count = json_array_size(list);
	struct sg_principals *principals;
	int r = 0;

	if (!json_is_array(list) || !count || count > MAX_PRINCIPALS)
		return sg_error_set(
			error, -EINVAL, "principals: must be a list of 1 to %d", MAX_PRINCIPALS);
	principals = calloc(1, sizeof(*principals) + count * sizeof(struct sg_principal));
	if (!principals)
		return sg_error_set(error, -ENOMEM, "out of memory");
	principals->list = json_incref((json_t *)list);
	for (; r == 0 && principals->count < count; principals->count++) {
		struct sg_principal *item = &principals->items[principals->count];

		r = parse_one(json_array_get(list, principals->count), item, error);
		for (size_t i = 0; r == 0 && i < principals->count; i++)
			if (strcmp(principals->items[i].name, item->name) == 0 ||
				memcmp(principals->items[i].token, item->token,
					sizeof(item->token)) == 0)
				r = sg_error_set(
					error, -EINVAL, "its name or token is another's too");
		if (r < 0)
			sg_error_prefix(error, r, "principals[%zu]: ", principals->count);
	}
	if (r < 0) {
		sg_principals_free(principals);
		return r;
	}
	*ret_principals = principals;
	return 0;
}

struct sg_principals *sg_principals_free(struct sg_principals *principals)
{
	if (principals)
		json_decref(principals->list);
	free(principals);
	return NULL;
}

// ---- Asking ----

const struct sg_principal *sg_principals_find(
	const struct sg_principals *principals, const char *header)
{
	static const char scheme[] = "Bearer ";
	const struct sg_principal *found = NULL;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const char *token;
	size_t length;

	if (!principals || !header || strncasecmp(header, scheme, strlen(scheme)) != 0)
		return NULL;
	token = header + strlen(scheme);
	token += strspn(token, " ");
	length = strlen(token);
	if (length < MIN_TOKEN || length > MAX_TOKEN)
		return NULL;
	SHA256((const unsigned char *)token, length, digest);
	for (size_t i = 0; i < principals->count; i++)
		if (CRYPTO_memcmp(digest, principals->items[i].token, sizeof(digest)) == 0)
			found = &principals->items[i];
	return found;
}

const char *sg_principal_name(const struct sg_principal *principal)
{
	return principal->name;
}

bool sg_principal_may(const struct sg_principal *principal, enum sg_verb verb)
{
	return principal->verbs & 1u << verb;
}

bool sg_principal_covers(const struct sg_principal *principal, const char *agent)
{
	for (size_t i = 0; i < json_array_size(principal->patterns); i++)
		if (fnmatch(json_string_value(json_array_get(principal->patterns, i)), agent, 0) ==
			0)
			return true;
	return false;
}

bool sg_principal_covers_all(const struct sg_principal *principal)
{
	for (size_t i = 0; i < json_array_size(principal->patterns); i++)
		if (strcmp(json_string_value(json_array_get(principal->patterns, i)), "*") == 0)
			return true;
	return false;
}
