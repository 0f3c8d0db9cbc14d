// SPDX-License-Identifier: Apache-2.0
// A request as an evaluator wants it, in each wire format's own members.
#include "evaluator/evaluator.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Where a wire format keeps what may be changed.
struct places {
	const char *api;
	const char *messages;	   // a list
	const char *system;	   // NULL: a message of the role "system"
	const char *function;	   // of a tool: where its name is; NULL: in the tool itself
	const char *functions;	   // of a tool: a list of what has names (Gemini)
	const char *choice;	   // the tool that must be called
	bool system_is_content;	   // an object with parts (Gemini)
	bool messages_may_be_text; // one text in place of the list (responses)
};

static const struct places all_places[] = {
	{ .api = "chat", .messages = "messages", .function = "function", .choice = "tool_choice" },
	{ .api = "responses",
		.messages = "input",
		.system = "instructions",
		.choice = "tool_choice",
		.messages_may_be_text = true },
	{ .api = "messages", .messages = "messages", .system = "system", .choice = "tool_choice" },
	{ .api = "generate",
		.messages = "contents",
		.system = "systemInstruction",
		.functions = "functionDeclarations",
		.choice = "toolConfig",
		.system_is_content = true },
	{ .api = "cohere_chat",
		.messages = "messages",
		.function = "function",
		.choice = "tool_choice" },
	{ .api = "ollama", .messages = "messages", .function = "function" },
};

// Gemini takes its members in two spellings, with capitals and with underscores: a filter that knew
// one would be passed by the other.
static bool is_same_member(const char *one, const char *other)
{
	while (*one || *other) {
		one += *one == '_';
		other += *other == '_';
		if (tolower((unsigned char)*one) != tolower((unsigned char)*other))
			return false;
		one += *one != 0;
		other += *other != 0;
	}
	return true;
}

static const char *spelling_of(json_t *object, const char *member)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) if (is_same_member(key, member)) return key;
	return member;
}

static json_t *get_member(json_t *object, const char *member)
{
	return json_object_get(object, spelling_of(object, member));
}

static const struct places *places_of(const char *api)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(all_places); i++)
		if (strcmp(all_places[i].api, api) == 0)
			return &all_places[i];
	return NULL;
}

// ---- Tools ----

static bool is_listed(const json_t *names, const char *name)
{
	for (size_t i = 0; name && i < json_array_size(names); i++)
		if (strcmp(json_string_value(json_array_get(names, i)), name) == 0)
			return true;
	return false;
}

// A tool of the provider's own has no name in some formats: its type is what it is called by.
static const char *name_of(const struct places *places, const json_t *tool)
{
	const json_t *function = places->function ? json_object_get(tool, places->function) : NULL;
	const char *name = json_string_value(json_object_get(function ? function : tool, "name"));

	return name ? name : json_string_value(json_object_get(tool, "type"));
}

// Returns whether anything was taken out.
static bool filter_list(const struct places *places, json_t *list, const struct sg_verdict *verdict)
{
	bool changed = false;

	for (size_t i = json_array_size(list); i-- > 0;) {
		const char *name = name_of(places, json_array_get(list, i));

		if (is_listed(verdict->tools, name) == verdict->tools_allowed)
			continue;
		json_array_remove(list, i);
		changed = true;
	}
	return changed;
}

// Gemini: each tool is a list of functions, or tools of its own, which are called by their members.
static bool filter_group(
	const struct places *places, json_t *group, const struct sg_verdict *verdict)
{
	bool changed = false;
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(group, next, key, value)
	{
		bool functions = is_same_member(key, places->functions);

		if (functions)
			changed |= filter_list(places, value, verdict);
		if (functions ? json_array_size(value) > 0
			      : is_listed(verdict->tools, key) == verdict->tools_allowed)
			continue;
		json_object_del(group, key);
		changed = true;
	}
	return changed;
}

static bool filter_groups(
	const struct places *places, json_t *groups, const struct sg_verdict *verdict)
{
	bool changed = false;

	for (size_t i = json_array_size(groups); i-- > 0;) {
		json_t *group = json_array_get(groups, i);

		changed |= filter_group(places, group, verdict);
		if (json_object_size(group) == 0)
			json_array_remove(groups, i);
	}
	return changed;
}

// A choice that names a tool which is gone would be refused by the provider.
static void filter_tools(
	const struct places *places, json_t *request, const struct sg_verdict *verdict)
{
	json_t *tools = json_object_get(request, "tools");
	const char *choice = places->choice ? spelling_of(request, places->choice) : "";
	bool changed = places->functions ? filter_groups(places, tools, verdict)
					 : filter_list(places, tools, verdict);
	bool emptied = changed && json_array_size(tools) == 0;

	// The spelling is the request's own: it goes with the member.
	if (emptied || (changed && json_is_object(json_object_get(request, choice))))
		json_object_del(request, choice);
	if (!emptied)
		return;
	json_object_del(request, "tools");
	json_object_del(request, "parallel_tool_calls");
}

// ---- Decoration ----

static int add_messages(const struct places *places, json_t *request, json_t *added)
{
	json_t *messages = json_object_get(request, places->messages);

	if (places->messages_may_be_text && json_is_string(messages)) {
		json_t *list = json_pack("[{s:s, s:O}]", "role", "user", "content", messages);

		if (!list || json_object_set_new(request, places->messages, list) < 0)
			return -ENOMEM;
		messages = list;
	}
	if (!json_is_array(messages))
		return -ENOTSUP;
	return json_array_extend(messages, added) < 0 ? -ENOMEM : 0;
}

// "What was there", a blank line, what is added.
static int join_text(json_t *object, const char *key, const char *before, const char *added)
{
	size_t size = strlen(before) + strlen(added) + 3;
	char *text = malloc(size);
	int r = -ENOMEM;

	if (text) {
		snprintf(text, size, "%s%s%s", before, *before ? "\n\n" : "", added);
		r = json_object_set_new(object, key, json_string(text)) < 0 ? -ENOMEM : 0;
	}
	free(text);
	return r;
}

static int add_part(json_t *parts, json_t *part)
{
	if (!json_is_array(parts)) {
		json_decref(part);
		return -ENOTSUP;
	}
	return json_array_append_new(parts, part) < 0 ? -ENOMEM : 0;
}

static int add_system(const struct places *places, json_t *request, const char *added)
{
	json_t *system = places->system ? get_member(request, places->system) : NULL;

	if (!places->system)
		return add_part(json_object_get(request, places->messages),
			json_pack("{s:s, s:s}", "role", "system", "content", added));
	if (places->system_is_content && json_is_object(system))
		return add_part(
			json_object_get(system, "parts"), json_pack("{s:s}", "text", added));
	if (places->system_is_content)
		return json_object_set_new(request, places->system,
			       json_pack("{s:[{s:s}]}", "parts", "text", added)) < 0
			       ? -ENOMEM
			       : 0;
	if (json_is_array(system))
		return add_part(system, json_pack("{s:s, s:s}", "type", "text", "text", added));
	return join_text(request, places->system,
		json_is_string(system) ? json_string_value(system) : "", added);
}

int sg_request_patch(const char *api, const char *body, size_t length,
	const struct sg_verdict *verdict, char **ret_body, size_t *ret_length)
{
	const struct places *places = places_of(api);
	json_t *request;
	char *text;
	int r = 0;

	if (!places)
		return -ENOTSUP;
	request = json_loadb(body, length, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(request)) {
		json_decref(request);
		return -EBADMSG;
	}
	if (verdict->tools)
		filter_tools(places, request, verdict);
	if (verdict->system)
		r = add_system(places, request, verdict->system);
	if (r == 0 && verdict->messages)
		r = add_messages(places, request, verdict->messages);
	text = r == 0 ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (r < 0)
		return r;
	if (!text)
		return -ENOMEM;
	*ret_body = text;
	*ret_length = strlen(text);
	return 0;
}
