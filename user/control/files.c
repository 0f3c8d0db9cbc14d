// SPDX-License-Identifier: Apache-2.0
// Layers that come from watched files: the warden reads their bytes, here they are understood.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "control/state.h"

// metadata.json has much that is not ours; its "budget" is.
static int parse_metadata(
	const char *text, size_t length, json_t **ret_list, struct sg_error *error)
{
	json_t *document = sg_json_parse(text, length, NULL, error);
	const json_t *budget = json_object_get(document, "budget");
	int r = 0;

	*ret_list = NULL;
	if (!document)
		return -EINVAL;
	if (!json_is_object(document))
		r = sg_error_set(error, -EINVAL, "must be a JSON object");
	else if (budget && !json_is_null(budget)) {
		r = sg_override_parse(budget, ret_list, error);
		if (r < 0)
			sg_error_prefix(error, r, "budget: ");
	}
	json_decref(document);
	return r;
}

static void remember(char **place, const char *text)
{
	free(*place);
	*place = text ? strdup(text) : NULL;
}

// The last good one stays; said once for each mistake.
static void reject(struct sg_control *control, struct sg_control_agent *agent, enum sg_layer layer,
	const struct sg_error *error)
{
	const char *source = agent->sources[layer] ? agent->sources[layer] : "";

	if (agent->errors[layer] && strcmp(agent->errors[layer], error->text) == 0)
		return;
	remember(&agent->errors[layer], error->text);
	sg_log(SG_LOG_ERROR, "override_rejected",
		"agent=%s path=%s reason=\"%s\" effect=\"the last good policy stays in force\"",
		agent->name, source, error->text);
	sg_audit_write(control->audit, "override_rejected", true,
		json_pack("{s:s, s:s, s:s, s:s, s:s}", "agent", agent->name, "layer",
			sg_layer_name(layer), "source", source, "error", error->text, "effect",
			"the last good policy stays in force"));
}

// Takes `list` (NULL: the file is gone). Returns whether the layer is another now.
static bool put_layer(struct sg_control *control, struct sg_control_agent *agent,
	enum sg_layer layer, json_t *list)
{
	json_t *before = NULL, *after = NULL, *change;
	struct sg_error error = { "" };
	char who[PATH_MAX + 8];
	bool same = list ? json_equal(list, agent->layers[layer]) : !agent->layers[layer];

	if (same) {
		json_decref(list);
		remember(&agent->errors[layer], NULL);
		return false;
	}
	change = list ? json_deep_copy(list) : json_pack("{s:b}", "removed", 1);
	if (sg_control_replace(control, agent, layer, list, &before, &after, &error) < 0) {
		json_decref(change);
		reject(control, agent, layer, &error);
		return false;
	}
	remember(&agent->errors[layer], NULL);
	snprintf(who, sizeof(who), "file:%s",
		agent->sources[layer] ? agent->sources[layer] : sg_layer_name(layer));
	sg_control_audit_change(control, "budget_changed", who, agent, change, before, after);
	return true;
}

static bool take_file(struct sg_control *control, const json_t *file)
{
	const char *name = json_string_value(json_object_get(file, "agent"));
	const char *path = json_string_value(json_object_get(file, "path"));
	const char *problem = json_string_value(json_object_get(file, "error"));
	const json_t *text = json_object_get(file, "text");
	struct sg_control_agent *agent;
	struct sg_error error = { "" };
	enum sg_layer layer;
	json_t *list = NULL;
	int r = 0;

	if (sg_layer_of_file(json_string_value(json_object_get(file, "layer")), &layer) < 0 ||
		sg_control_agent(control, name, &agent, &error) < 0) {
		sg_log(SG_LOG_ERROR, "override_rejected", "path=%s reason=\"%s\"", path ? path : "",
			error.text);
		return false;
	}
	if (path)
		remember(&agent->sources[layer], path);
	agent->turns[layer] = control->turn;
	if (problem)
		r = sg_error_set(&error, -EINVAL, "%s", problem);
	else if (json_is_string(text))
		r = (layer == SG_LAYER_METADATA ? parse_metadata : sg_override_parse_text)(
			json_string_value(text), json_string_length(text), &list, &error);
	if (r < 0) {
		reject(control, agent, layer, &error);
		return false;
	}
	return put_layer(control, agent, layer, list);
}

// A complete reading: what it does not name is gone.
static bool drop_unseen(struct sg_control *control)
{
	struct sg_control_agent *agent, *next;
	enum sg_layer layer;
	bool changed = false;

	HASH_ITER(hh, control->agents, agent, next)
	{
		for (int i = 0; i < SG_LAYER_COUNT; i++)
			if (sg_layer_of_file(sg_layer_name((enum sg_layer)i), &layer) == 0 &&
				agent->turns[layer] != control->turn)
				changed = put_layer(control, agent, layer, NULL) || changed;
	}
	return changed;
}

void sg_control_take_files(struct sg_control *control, const json_t *message)
{
	bool complete = json_is_true(json_object_get(message, "complete")), changed = false;
	size_t index;
	json_t *file;
	int r;

	pthread_mutex_lock(&control->lock);
	control->turn += complete;
	json_array_foreach(json_object_get(message, "files"), index, file)
	{
		changed = take_file(control, file) || changed;
	}
	if (complete)
		changed = drop_unseen(control) || changed;
	// In force already; kept for a start that finds a file damaged.
	r = changed ? sg_control_store_files(control) : 0;
	if (r < 0)
		sg_log(SG_LOG_ERROR, "layers", "path=%s reason=\"%s\"", control->layers_path,
			strerror(-r));
	pthread_mutex_unlock(&control->lock);
}
