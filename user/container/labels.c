// SPDX-License-Identifier: Apache-2.0
#include "container/labels.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

#define PREFIX	     "spendgate."
#define ENGINE_LIMIT (16u << 20)

// ---- Where labels come from ----

static int take_docker_file(const char *path, struct sg_labels *labels, struct sg_error *error)
{
	json_t *file, *config;
	json_error_t where;
	const char *name;
	char *text;
	size_t length;
	int r = sg_fd_read_file(path, ENGINE_LIMIT, &text, &length);

	if (r < 0)
		return sg_error_set(
			error, r, "the container's labels in %s: %s", path, strerror(-r));
	file = json_loadb(text, length, 0, &where);
	free(text);
	if (!file)
		return sg_error_set(error, -EBADMSG, "the container's labels in %s: line %d: %s",
			path, where.line, where.text);
	config = json_object_get(file, "Config");
	json_object_update(labels->all, json_object_get(config, "Labels"));
	name = json_string_value(json_object_get(file, "Name"));
	if (name)
		snprintf(labels->name, sizeof(labels->name), "%s", name + (*name == '/'));
	json_decref(file);
	return 0;
}

// Docker keeps a container at <data root>/containers/<id>, and its root file system somewhere below
// the data root, whichever the storage driver.
static int find_docker_file(const char *root_path, const char *id, char *out, size_t size)
{
	static const char file[] = "/config.v2.json";
	char parent[PATH_MAX];
	struct stat status;
	size_t length;
	char *slash;

	if ((size_t)snprintf(parent, sizeof(parent), "%s", root_path) >= sizeof(parent))
		return -ENAMETOOLONG;
	while ((slash = strrchr(parent, '/'))) {
		*slash = 0;
		length = (size_t)snprintf(out, size, "%s/containers/%s", parent, id);
		if (length + sizeof(file) > size)
			return -ENAMETOOLONG;
		if (stat(out, &status) == 0) {
			memcpy(out + length, file, sizeof(file));
			return 0;
		}
	}
	return -ENOENT;
}

int sg_labels_read(
	const json_t *config, const char *id, struct sg_labels *ret_labels, struct sg_error *error)
{
	const char *root =
		json_string_value(json_object_get(json_object_get(config, "root"), "path"));
	struct sg_labels labels = { .all = json_object() };
	char path[PATH_MAX];
	int r;

	if (!labels.all)
		return sg_error_set(error, -ENOMEM, "out of memory");
	json_object_update(labels.all, json_object_get(config, "annotations"));
	r = root && *root == '/' ? find_docker_file(root, id, path, sizeof(path)) : -ENOENT;
	if (r == 0)
		r = take_docker_file(path, &labels, error);
	else if (r == -ENOENT)
		r = 0; // another engine: annotations are all there is
	if (r < 0) {
		sg_labels_release(&labels);
		return error->text[0] ? r : sg_error_set(error, r, "%s: %s", root, strerror(-r));
	}
	*ret_labels = labels;
	return 0;
}

void sg_labels_release(struct sg_labels *labels)
{
	json_decref(labels->all);
	labels->all = NULL;
}

bool sg_labels_agent(const struct sg_labels *labels)
{
	const char *key;
	json_t *value;

	json_object_foreach(labels->all, key, value)
	{
		if (strncmp(key, PREFIX, strlen(PREFIX)) == 0)
			return true;
	}
	return false;
}

// ---- What they ask for ----

enum kind { TEXT, COUNT };
enum place { OF_AGENT, OF_BUDGET };

static const struct {
	const char *label; // after the prefix
	const char *key;
	enum place place;
	enum kind kind;
} known[] = {
	{ "agent", "name", OF_AGENT, TEXT },
	{ "team", "team", OF_AGENT, TEXT },
	{ "profile", "profile", OF_AGENT, TEXT },
	{ "egress", "egress", OF_AGENT, TEXT },
	{ "unknown-model", "unknown_model", OF_AGENT, TEXT },
	{ "budget.limit-usd", "limit_usd", OF_BUDGET, TEXT },
	{ "budget.max-requests", "max_requests", OF_BUDGET, COUNT },
	{ "budget.max-tokens", "max_tokens", OF_BUDGET, COUNT },
	{ "budget.max-input-tokens", "max_input_tokens", OF_BUDGET, COUNT },
	{ "budget.max-output-tokens", "max_output_tokens", OF_BUDGET, COUNT },
	{ "budget.window", "window", OF_BUDGET, TEXT },
	{ "budget.behavior", "behavior", OF_BUDGET, TEXT },
	{ "budget.on-tight", "on_tight", OF_BUDGET, TEXT },
	{ "budget.wait", "wait", OF_BUDGET, TEXT },
};

static json_t *value_of(const char *label, const char *text, enum kind kind, struct sg_error *error)
{
	char *end;
	long long count;

	if (kind == TEXT)
		return json_string(text);
	errno = 0;
	count = strtoll(text, &end, 10);
	if (errno || *end || end == text) {
		sg_error_set(
			error, -EINVAL, "label %s \"%.80s\": must be a whole number", label, text);
		return NULL;
	}
	return json_integer(count);
}

static int take_label(const char *label, const char *text, json_t *request, json_t *budget,
	struct sg_error *error)
{
	const char *name = label + strlen(PREFIX);
	size_t i = 0;
	json_t *value;

	while (i < SG_ARRAY_SIZE(known) && strcmp(known[i].label, name) != 0)
		i++;
	if (i == SG_ARRAY_SIZE(known))
		return sg_error_set(error, -EINVAL,
			"label %.120s: there is no such label (docs: docker): spendgate.agent, "
			".team, .profile, .egress, .unknown-model, .budget.limit-usd, "
			".budget.max-requests, .budget.max-tokens, .budget.window, "
			".budget.behavior, .budget.on-tight and .budget.wait are known",
			label);
	value = value_of(label, text, known[i].kind, error);
	if (!value)
		return -EINVAL;
	return json_object_set_new(
		known[i].place == OF_BUDGET ? budget : request, known[i].key, value);
}

static const char *label_text(const struct sg_labels *labels, const char *label)
{
	return json_string_value(json_object_get(labels->all, label));
}

// As compose names the container; else as its engine does; else the start of its id.
static json_t *default_name(const struct sg_labels *labels, const char *id)
{
	const char *project = label_text(labels, "com.docker.compose.project");
	const char *service = label_text(labels, "com.docker.compose.service");
	const char *number = label_text(labels, "com.docker.compose.container-number");

	if (project && service)
		return json_sprintf("%s-%s-%s", project, service, number ? number : "1");
	if (labels->name[0])
		return json_string(labels->name);
	return json_sprintf("%.12s", id);
}

static int take_all(
	const struct sg_labels *labels, json_t *request, json_t *budget, struct sg_error *error)
{
	const char *label;
	json_t *value;
	int r = 0;

	json_object_foreach(labels->all, label, value)
	{
		const char *text = json_string_value(value);

		if (r == 0 && text && strncmp(label, PREFIX, strlen(PREFIX)) == 0)
			r = take_label(label, text, request, budget, error);
	}
	return r;
}

int sg_labels_request(const struct sg_labels *labels, const char *id, const char *profile,
	json_t **ret_request, struct sg_error *error)
{
	json_t *budget = json_object();
	json_t *request = json_pack("{s:s, s:o, s:s}", "op", "register", "name",
		default_name(labels, id), "container", id);
	int r = budget && request ? 0 : sg_error_set(error, -ENOMEM, "out of memory");

	if (r == 0 && profile)
		json_object_set_new(request, "profile", json_string(profile));
	if (r == 0)
		r = take_all(labels, request, budget, error);
	if (r == 0 && json_object_size(budget)) {
		json_object_set_new(budget, "name", json_string("container"));
		// As `spendgate run` has it.
		if (!json_object_get(budget, "window"))
			json_object_set_new(budget, "window", json_string("lifetime"));
		r = json_object_set_new(request, "budgets", json_pack("[O]", budget));
	}
	json_decref(budget);
	if (r < 0) {
		json_decref(request);
		return r;
	}
	*ret_request = request;
	return 0;
}
