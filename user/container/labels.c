// SPDX-License-Identifier: Apache-2.0
#include "container/labels.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "container/image.h"
#include "spendgate/control.h"

#define PREFIX	     "spendgate."
#define ENGINE_LIMIT (16u << 20)

// ---- Where labels come from ----

// Those of an image that can't be found may be any.
static int take_image(int result, struct sg_labels *labels)
{
	if (result < 0)
		labels->image = json_copy(labels->all);
	return labels->image ? 0 : -ENOMEM;
}

static int take_docker_file(
	const char *data_root, const char *path, struct sg_labels *labels, struct sg_error *error)
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
	r = take_image(sg_image_of_docker(data_root, file, &labels->image), labels);
	json_decref(file);
	return r < 0 ? sg_error_set(error, r, "out of memory") : 0;
}

// podman hands on its image's annotations. Those of other engines are their operator's own.
static int take_annotations(const char *root, const char *id, struct sg_labels *labels)
{
	int r = sg_image_of_storage(root, id, &labels->image);

	return r == -ENODEV ? 0 : take_image(r, labels);
}

// Docker keeps a container at <data root>/containers/<id>, and its root file system somewhere below
// the data root, whichever the storage driver. `parent` is that root then.
static int find_docker_file(
	const char *root_path, const char *id, char parent[PATH_MAX], char *out, size_t size)
{
	static const char file[] = "/config.v2.json";
	struct stat status;
	size_t length;
	char *slash;

	if ((size_t)snprintf(parent, PATH_MAX, "%s", root_path) >= PATH_MAX)
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
	char path[PATH_MAX], data_root[PATH_MAX];
	int r;

	if (!labels.all)
		return sg_error_set(error, -ENOMEM, "out of memory");
	json_object_update(labels.all, json_object_get(config, "annotations"));
	r = root && *root == '/' ? find_docker_file(root, id, data_root, path, sizeof(path))
				 : -ENOENT;
	if (r == 0)
		r = take_docker_file(data_root, path, &labels, error);
	else if (r == -ENOENT) // another engine: annotations are all there is
		r = root ? take_annotations(root, id, &labels) : 0;
	if (r < 0) {
		sg_labels_release(&labels);
		return error->text[0] ? r : sg_error_set(error, r, "%s: %s", root, strerror(-r));
	}
	*ret_labels = labels;
	return 0;
}

int sg_labels_of_engine(const char *socket_path, const struct sg_engine_container *container,
	struct sg_labels *ret_labels, struct sg_error *error)
{
	struct sg_labels labels = { .all = json_copy((json_t *)container->labels) };
	struct sg_error reason = { "" };
	int r;

	if (!labels.all) // an engine tells of none with null
		labels.all = json_object();
	snprintf(labels.name, sizeof(labels.name), "%s", container->name);
	r = sg_engine_image_labels(socket_path, container->id, &labels.image, &reason);
	if (!labels.all || take_image(r, &labels) < 0) {
		sg_labels_release(&labels);
		return sg_error_set(error, -ENOMEM, "out of memory");
	}
	*ret_labels = labels;
	return 0;
}

void sg_labels_add(struct sg_labels *labels, const json_t *more)
{
	const char *label;
	json_t *value;

	json_object_update(labels->all, (json_t *)more);
	json_object_foreach((json_t *)more, label, value) json_object_del(labels->image, label);
}

void sg_labels_release(struct sg_labels *labels)
{
	json_decref(labels->all);
	json_decref(labels->image);
	labels->all = labels->image = NULL;
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

// What labels of one origin ask for. A request carries those of an image apart, for spendgated to
// judge: include/spendgate/control.h.
struct asked {
	json_t *fields; // of the agent
	json_t *budget;
};

static int take_label(
	const char *label, const char *text, const struct asked *asked, struct sg_error *error)
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
		known[i].place == OF_BUDGET ? asked->budget : asked->fields, known[i].key, value);
}

static const char *label_text(const struct sg_labels *labels, const char *label)
{
	return json_string_value(json_object_get(labels->all, label));
}

// The container may have been given the very same: nobody can tell.
static bool is_of_image(const struct sg_labels *labels, const char *label)
{
	const json_t *value = json_object_get(labels->image, label);

	return value && json_equal(value, json_object_get(labels->all, label));
}

// As compose names the container; else as its engine does; else the start of its id. Images that
// compose built have its names too, but no number.
static json_t *default_name(const struct sg_labels *labels, const char *id)
{
	static const char number_label[] = "com.docker.compose.container-number";
	const char *project = label_text(labels, "com.docker.compose.project");
	const char *service = label_text(labels, "com.docker.compose.service");
	const char *number = label_text(labels, number_label);

	if (project && service && number && !is_of_image(labels, number_label))
		return json_sprintf("%s-%s-%s", project, service, number);
	if (labels->name[0])
		return json_string(labels->name);
	return json_sprintf("%.12s", id);
}

static int take_all(const struct sg_labels *labels, const struct asked *container,
	const struct asked *image, struct sg_error *error)
{
	const char *label;
	json_t *value;
	int r = 0;

	json_object_foreach(labels->all, label, value)
	{
		const char *text = json_string_value(value);

		if (r == 0 && text && strncmp(label, PREFIX, strlen(PREFIX)) == 0)
			r = take_label(
				label, text, is_of_image(labels, label) ? image : container, error);
	}
	return r;
}

// What there is of it.
static int put_image(const struct asked *image, json_t *request)
{
	int r = 0;

	if (json_object_size(image->budget))
		r = json_object_set(image->fields, "budget", image->budget);
	if (r == 0 && json_object_size(image->fields))
		r = json_object_set(request, "image", image->fields);
	return r < 0 ? -ENOMEM : 0;
}

// As `spendgate run` has it, the window is the agent's life where no label says another.
static int put_budget(const struct asked *container, const struct asked *image, json_t *request)
{
	if (json_object_size(container->budget) == 0)
		return 0;
	json_object_set_new(container->budget, "name", json_string(SG_CONTROL_CONTAINER_BUDGET));
	if (!json_object_get(container->budget, "window") &&
		!json_object_get(image->budget, "window"))
		json_object_set_new(container->budget, "window", json_string("lifetime"));
	return json_object_set_new(request, "budgets", json_pack("[O]", container->budget));
}

int sg_labels_request(const struct sg_labels *labels, const char *id, const char *profile,
	json_t **ret_request, struct sg_error *error)
{
	json_t *request = json_pack("{s:s, s:o, s:s}", "op", "register", "name",
		default_name(labels, id), "container", id);
	struct asked container = { request, json_object() };
	struct asked image = { json_object(), json_object() };
	int r = request && container.budget && image.fields && image.budget ? 0 : -ENOMEM;

	if (r == 0 && profile)
		json_object_set_new(request, "profile", json_string(profile));
	if (r == 0)
		r = take_all(labels, &container, &image, error);
	if (r == 0)
		r = put_budget(&container, &image, request);
	if (r == 0)
		r = put_image(&image, request);
	json_decref(container.budget);
	json_decref(image.fields);
	json_decref(image.budget);
	if (r < 0) {
		json_decref(request);
		return error->text[0] ? r : sg_error_set(error, -ENOMEM, "out of memory");
	}
	*ret_request = request;
	return 0;
}
