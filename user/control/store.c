// SPDX-License-Identifier: Apache-2.0
// What is kept over a restart: {"agents": {NAME: {LAYER: [override, ...]}}}.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "control/state.h"

#define STORE_LIMIT (64u << 20)

static json_t *describe_layers(const struct sg_control_agent *agent, bool live)
{
	json_t *object = json_object();

	for (int i = 0; i < SG_LAYER_COUNT; i++)
		if (i != SG_LAYER_REQUEST && (i == SG_LAYER_LIVE) == live &&
			json_array_size(agent->layers[i]))
			json_object_set(object, sg_layer_name((enum sg_layer)i), agent->layers[i]);
	return object;
}

static int store(const struct sg_control *control, const char *path, bool live)
{
	json_t *agents = json_object(), *root = json_pack("{s:o}", "agents", agents);
	const struct sg_control_agent *agent;
	char *text;
	int r = -ENOMEM;

	for (agent = control->agents; root && agent; agent = agent->hh.next) {
		json_t *layers = describe_layers(agent, live);

		if (json_object_size(layers))
			json_object_set(agents, agent->name, layers);
		json_decref(layers);
	}
	text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	if (text)
		r = sg_fd_write_file(path, text, strlen(text), 0600);
	free(text);
	json_decref(root);
	return r;
}

int sg_control_store_live(const struct sg_control *control)
{
	return store(control, control->overrides_path, true);
}

int sg_control_store_files(const struct sg_control *control)
{
	return store(control, control->layers_path, false);
}

static int load_layer(struct sg_control_agent *agent, const char *key, const json_t *value,
	bool live, struct sg_error *error)
{
	enum sg_layer layer = SG_LAYER_LIVE;

	if (live ? strcmp(key, sg_layer_name(SG_LAYER_LIVE)) != 0
		 : sg_layer_of_file(key, &layer) < 0)
		return sg_error_set(error, -EINVAL, "unknown layer \"%s\"", key);
	return sg_override_parse(value, &agent->layers[layer], error);
}

static int load_agent(struct sg_control *control, const char *name, const json_t *layers, bool live,
	struct sg_error *error)
{
	struct sg_control_agent *agent;
	const char *key;
	json_t *value;
	int r = sg_control_agent(control, name, &agent, error);

	json_object_foreach((json_t *)layers, key, value)
	{
		if (r == 0)
			r = load_layer(agent, key, value, live, error);
	}
	// Whatever ended meanwhile is dealt with as soon as the clock is looked at.
	for (int i = 0; r == 0 && i < SG_LAYER_COUNT; i++)
		for (size_t j = 0; j < json_array_size(agent->layers[i]); j++) {
			int64_t at_ns = sg_override_expiry(json_array_get(agent->layers[i], j));

			if (at_ns < agent->next_expiry_ns)
				agent->next_expiry_ns = at_ns;
		}
	return r;
}

static int load(struct sg_control *control, const char *path, bool live, struct sg_error *error)
{
	json_error_t where;
	json_t *root, *layers;
	const char *name;
	char *text = NULL;
	size_t length;
	int r = sg_fd_read_file(path, STORE_LIMIT, &text, &length);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
	free(text);
	if (!root)
		return sg_error_set(error, -EINVAL,
			"%s:%d: %s: move the file aside to start without the overrides that it "
			"keeps",
			path, where.line, where.text);
	json_object_foreach(json_object_get(root, "agents"), name, layers)
	{
		if (r == 0)
			r = load_agent(control, name, layers, live, error);
	}
	json_decref(root);
	return r < 0 ? sg_error_prefix(error, r, "%s: ", path) : 0;
}

int sg_control_load(struct sg_control *control, struct sg_error *error)
{
	int r = load(control, control->overrides_path, true, error);

	return r < 0 ? r : load(control, control->layers_path, false, error);
}
