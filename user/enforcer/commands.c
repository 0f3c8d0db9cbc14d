// SPDX-License-Identifier: Apache-2.0
#include "enforcer/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel/channel.h"
#include "enforcer/worker.h"

#define MAX_AUDIT_LINES 10000

static const char *text_of(const json_t *request, const char *key)
{
	return json_string_value(json_object_get(request, key));
}

static int show_audit(
	struct sg_audit *audit, const json_t *request, json_t **ret_answer, struct sg_error *error)
{
	json_int_t lines = json_integer_value(json_object_get(request, "lines"));
	json_t *found;

	if (lines < 1 || lines > MAX_AUDIT_LINES)
		return sg_error_set(
			error, -EINVAL, "lines: must be a number from 1 to %d", MAX_AUDIT_LINES);
	found = sg_audit_tail(audit, (size_t)lines, text_of(request, "agent"));
	*ret_answer = found ? json_pack("{s:o}", "lines", found) : NULL;
	return *ret_answer ? 0 : sg_error_set(error, -ENOMEM, "out of memory");
}

static int run(struct sg_enforcer *enforcer, const json_t *request, json_t **ret_answer,
	struct sg_error *error)
{
	const char *verb = text_of(request, "verb"), *agent = text_of(request, "agent");
	const char *who = text_of(request, "who");

	if (!who)
		who = "cli";
	if (verb && strcmp(verb, "show") == 0)
		return sg_control_show(enforcer->control, agent, ret_answer, error);
	if (verb && strcmp(verb, "audit") == 0)
		return show_audit(enforcer->audit, request, ret_answer, error);
	if (verb && strcmp(verb, "set") == 0)
		return sg_control_set(enforcer->control, who, agent,
			json_object_get(request, "override"), ret_answer, error);
	if (verb && strcmp(verb, "remove") == 0)
		return sg_control_remove(enforcer->control, who, agent, text_of(request, "budget"),
			text_of(request, "reason"), ret_answer, error);
	return sg_error_set(error, -EINVAL, "unknown verb \"%s\"", verb ? verb : "");
}

int sg_commands_run(struct sg_enforcer *enforcer, const json_t *request, int *ret_fd)
{
	struct sg_error error = { "" };
	json_t *answer = NULL;
	char *text = NULL;
	int r = run(enforcer, request, &answer, &error);

	if (r == 0)
		r = json_object_set_new(answer, "ok", json_true());
	else
		answer = json_pack("{s:b, s:s, s:i}", "ok", 0, "error", error.text, "errno", -r);
	if (answer)
		text = json_dumps(answer, JSON_COMPACT);
	r = text ? sg_channel_memfd("spendgate-budget", text, strlen(text)) : -ENOMEM;
	free(text);
	json_decref(answer);
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}
