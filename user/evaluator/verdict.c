// SPDX-License-Identifier: Apache-2.0
#include "evaluator/evaluator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int set_wrong(struct sg_error *error, const char *what)
{
	return sg_error_set(error, -EBADMSG, "the evaluator's answer: %s", what);
}

// Text that may be left out, or null. Longer ones are cut.
static int take_text(
	const json_t *answer, const char *key, char *out, size_t size, struct sg_error *error)
{
	const json_t *value = json_object_get(answer, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return sg_error_set(error, -EBADMSG, "the evaluator's answer: %s is no text", key);
	snprintf(out, size, "%s", json_string_value(value));
	return 0;
}

static int take_verdict(
	enum sg_hook hook, const json_t *answer, struct sg_verdict *verdict, struct sg_error *error)
{
	char word[16] = "";
	int r = take_text(answer, "verdict", word, sizeof(word), error);

	if (r < 0)
		return r;
	if (!*word || strcmp(word, "allow") == 0)
		verdict->kind = SG_VERDICT_ALLOW;
	else if (strcmp(word, "deny") == 0)
		verdict->kind = SG_VERDICT_DENY;
	else if (strcmp(word, "amend") == 0 && hook == SG_HOOK_GATE_RESPONSE)
		verdict->kind = SG_VERDICT_AMEND;
	else
		return set_wrong(error, "an unknown verdict");
	return 0;
}

static bool is_list_of(const json_t *value, json_type type)
{
	if (!json_is_array(value))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++)
		if (json_typeof(json_array_get(value, i)) != type)
			return false;
	return true;
}

static int take_tools(const json_t *answer, struct sg_verdict *verdict, struct sg_error *error)
{
	const json_t *filter = json_object_get(answer, "tool_filter");
	const char *mode = json_string_value(json_object_get(filter, "mode"));
	json_t *tools = json_object_get(filter, "tools");

	if (!filter || json_is_null(filter))
		return 0;
	if (!mode || (strcmp(mode, "allow_list") != 0 && strcmp(mode, "deny_list") != 0))
		return set_wrong(error, "tool_filter.mode must be allow_list or deny_list");
	if (tools && !json_is_null(tools) && !is_list_of(tools, JSON_STRING))
		return set_wrong(error, "tool_filter.tools must be a list of names");
	verdict->tools_allowed = strcmp(mode, "allow_list") == 0;
	verdict->tools = json_is_array(tools) ? json_incref(tools) : json_array();
	return verdict->tools ? 0 : -ENOMEM;
}

static int take_decoration(const json_t *answer, struct sg_verdict *verdict, struct sg_error *error)
{
	json_t *messages = json_object_get(answer, "messages_patch");
	const json_t *system = json_object_get(answer, "system_patch");

	if (messages && !json_is_null(messages) && !is_list_of(messages, JSON_OBJECT))
		return set_wrong(error, "messages_patch must be a list of messages");
	if (system && !json_is_null(system) && !json_is_string(system))
		return set_wrong(error, "system_patch is no text");
	if (json_array_size(messages))
		verdict->messages = json_incref(messages);
	if (json_string_length(system)) {
		verdict->system = strdup(json_string_value(system));
		if (!verdict->system)
			return -ENOMEM;
	}
	return 0;
}

// The amended body may be given as text, or as the JSON that it is.
static int take_amended(const json_t *answer, struct sg_verdict *verdict, struct sg_error *error)
{
	const json_t *body = json_object_get(answer, "amended_body");

	if (verdict->kind != SG_VERDICT_AMEND)
		return 0;
	if (!body || json_is_null(body))
		return set_wrong(error, "amend without an amended_body");
	verdict->amended = json_is_string(body) ? strdup(json_string_value(body))
						: json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!verdict->amended)
		return -ENOMEM;
	verdict->amended_length = strlen(verdict->amended);
	return 0;
}

int sg_verdict_read(enum sg_hook hook, const char *text, size_t length,
	struct sg_verdict *ret_verdict, struct sg_error *error)
{
	struct sg_verdict verdict = { .kind = SG_VERDICT_ALLOW };
	json_t *answer = json_loadb(text, length, 0, NULL);
	int r = json_is_object(answer) ? 0 : set_wrong(error, "it is no JSON object");

	if (r == 0)
		r = take_text(answer, "reason", verdict.reason, sizeof(verdict.reason), error);
	if (r == 0)
		r = take_text(answer, "intervention", verdict.intervention,
			sizeof(verdict.intervention), error);
	if (r == 0 && hook == SG_HOOK_DECORATE)
		r = take_decoration(answer, &verdict, error);
	else if (r == 0)
		r = take_verdict(hook, answer, &verdict, error);
	if (r == 0 && hook == SG_HOOK_GATE_REQUEST)
		r = take_tools(answer, &verdict, error);
	if (r == 0 && hook == SG_HOOK_GATE_RESPONSE)
		r = take_amended(answer, &verdict, error);
	json_decref(answer);
	if (r < 0) {
		sg_verdict_done(&verdict);
		return r;
	}
	*ret_verdict = verdict;
	return 0;
}

void sg_verdict_done(struct sg_verdict *verdict)
{
	json_decref(verdict->tools);
	json_decref(verdict->messages);
	free(verdict->system);
	free(verdict->amended);
	*verdict = (struct sg_verdict){ .kind = SG_VERDICT_ALLOW };
}
