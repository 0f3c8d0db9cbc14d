// SPDX-License-Identifier: Apache-2.0
#include "evaluator/evaluator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[SG_HOOK_COUNT] = {
	[SG_HOOK_GATE_REQUEST] = "/policy/gate-request",
	[SG_HOOK_DECORATE] = "/policy/decorate",
	[SG_HOOK_GATE_RESPONSE] = "/policy/gate-response",
	[SG_HOOK_SCORE] = "/policy/score",
};

const char *sg_hook_path(enum sg_hook hook)
{
	return names[hook];
}

const char *sg_hook_name(enum sg_hook hook)
{
	return names[hook] + strlen("/policy/");
}

const char *sg_evaluator_format(const char *api_name)
{
	static const struct {
		const char *api, *format;
	} formats[] = {
		{ "messages", "anthropic" },
		{ "generate", "google" },
		{ "embed", "google" },
		{ "converse", "bedrock" },
		{ "invoke", "bedrock" },
		{ "cohere_", "cohere" },
		{ "ollama", "ollama" },
	};

	for (size_t i = 0; i < SG_ARRAY_SIZE(formats); i++)
		if (strncmp(api_name, formats[i].api, strlen(formats[i].api)) == 0)
			return formats[i].format;
	return "openai";
}

static json_t *rules_of(const struct sg_hook_call *call)
{
	json_t *rules = json_object();

	if (call->rules_path)
		json_object_set_new(rules, "path", json_string(call->rules_path));
	if (call->rules_digest)
		json_object_set_new(rules, "digest", json_string(call->rules_digest));
	return rules;
}

static int set_text(json_t *object, const char *key, const char *text, size_t length)
{
	json_t *value = json_stringn(text, length);

	return value ? json_object_set_new(object, key, value) : -EILSEQ;
}

static int add_answer(json_t *object, const struct sg_hook_call *call)
{
	int r = set_text(object, "request_body", call->request, call->request_length);

	if (r == 0)
		r = json_object_set_new(
			object, "response_status", json_integer((json_int_t)call->status));
	if (r == 0)
		r = json_object_set(object, "response_header", (json_t *)call->headers);
	if (r == 0 && call->response)
		r = set_text(object, "response_body", call->response, call->response_length);
	return r == -1 ? -ENOMEM : r;
}

// The request goes in as it stands: it is JSON already, and is not taken apart for being told.
static int append_request(const char *text, const struct sg_hook_call *call, struct sg_buf *out)
{
	static const char member[] = ",\"request\":";
	int r = sg_buf_append(out, text, strlen(text) - 1); // without its last brace

	if (r == 0)
		r = sg_buf_append(out, member, sizeof(member) - 1);
	if (r == 0)
		r = sg_buf_append(out, call->request, call->request_length);
	return r < 0 ? r : sg_buf_append(out, "}", 1);
}

int sg_hook_write(enum sg_hook hook, const struct sg_hook_call *call, struct sg_buf *out)
{
	bool of_request = hook == SG_HOOK_GATE_REQUEST || hook == SG_HOOK_DECORATE;
	json_t *object = json_pack("{s:s, s:s, s:s, s:b, s:s, s:o}", "agent_id", call->agent,
		"format", sg_evaluator_format(call->api), "mode", "plain", "stream", call->stream,
		"model", call->model, "rules", rules_of(call));
	char *text = NULL;
	int r = object ? 0 : -EILSEQ;

	if (r == 0 && !of_request)
		r = add_answer(object, call);
	if (r == 0) {
		text = json_dumps(object, JSON_COMPACT);
		r = text ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = of_request ? append_request(text, call, out)
			       : sg_buf_append(out, text, strlen(text));
	free(text);
	json_decref(object);
	return r;
}
