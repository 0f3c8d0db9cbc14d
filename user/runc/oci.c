// SPDX-License-Identifier: Apache-2.0
#include "runc/oci.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/json.h"

#define CONFIG_LIMIT (16u << 20)

// ---- Types ----

static int check_strings(
	const json_t *list, const char *what, const char *place, struct sg_error *error)
{
	size_t index;
	json_t *item;

	if (list && !json_is_array(list))
		return sg_error_set(error, -EBADMSG, "%s: %s: must be an array", place, what);
	json_array_foreach((json_t *)list, index, item)
	{
		if (!json_is_string(item))
			return sg_error_set(error, -EBADMSG, "%s: %s[%zu]: must be a string", place,
				what, index);
	}
	return 0;
}

static int check_mounts(const json_t *mounts, const char *place, struct sg_error *error)
{
	size_t index;
	json_t *item;

	if (mounts && !json_is_array(mounts))
		return sg_error_set(error, -EBADMSG, "%s: mounts: must be an array", place);
	json_array_foreach((json_t *)mounts, index, item)
	{
		if (!json_is_string(json_object_get(item, "destination")))
			return sg_error_set(error, -EBADMSG,
				"%s: mounts[%zu].destination: must be a string", place, index);
	}
	return 0;
}

static int check_hooks(const json_t *hooks, const char *place, struct sg_error *error)
{
	const json_t *list = json_object_get(hooks, "createRuntime");

	if (hooks && !json_is_object(hooks))
		return sg_error_set(error, -EBADMSG, "%s: hooks: must be an object", place);
	if (list && !json_is_array(list))
		return sg_error_set(
			error, -EBADMSG, "%s: hooks.createRuntime: must be an array", place);
	return 0;
}

static int check_annotations(const json_t *annotations, const char *place, struct sg_error *error)
{
	const char *key;
	json_t *value;

	if (annotations && !json_is_object(annotations))
		return sg_error_set(error, -EBADMSG, "%s: annotations: must be an object", place);
	json_object_foreach((json_t *)annotations, key, value)
	{
		if (!json_is_string(value))
			return sg_error_set(error, -EBADMSG,
				"%s: annotations: %.80s: must be a string", place, key);
	}
	return 0;
}

static int check(const json_t *config, const char *place, struct sg_error *error)
{
	const json_t *process = json_object_get(config, "process");
	int r = 0;

	if (!json_is_object(config))
		return sg_error_set(error, -EBADMSG, "%s: must be an object", place);
	if (!json_is_object(process))
		return sg_error_set(error, -EBADMSG, "%s: process: must be an object", place);
	if (!json_is_string(json_object_get(json_object_get(config, "root"), "path")))
		return sg_error_set(error, -EBADMSG, "%s: root.path: must be a string", place);
	r = check_strings(json_object_get(process, "env"), "process.env", place, error);
	if (r == 0)
		r = check_mounts(json_object_get(config, "mounts"), place, error);
	if (r == 0)
		r = check_hooks(json_object_get(config, "hooks"), place, error);
	if (r == 0)
		r = check_annotations(json_object_get(config, "annotations"), place, error);
	return r;
}

// ---- The file ----

int sg_oci_parse(const char *text, size_t length, const char *place, json_t **ret_config,
	struct sg_error *error)
{
	json_t *config;
	int r;

	if (length > CONFIG_LIMIT)
		return sg_error_set(error, -EFBIG, "%s: more than %u bytes", place, CONFIG_LIMIT);
	// Of two keys the real runtime might take the other one.
	config = sg_json_parse(text, length, place, error);
	if (!config)
		return -EBADMSG;
	r = check(config, place, error);
	if (r < 0) {
		json_decref(config);
		return r;
	}
	*ret_config = config;
	return 0;
}

int sg_oci_load(const char *path, json_t **ret_config, struct sg_error *error)
{
	char *text;
	size_t length;
	int r = sg_fd_read_file(path, CONFIG_LIMIT, &text, &length);

	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	r = sg_oci_parse(text, length, path, ret_config, error);
	free(text);
	return r;
}

int sg_oci_save(const char *path, const json_t *config, struct sg_error *error)
{
	char *text = json_dumps(config, JSON_COMPACT);
	int r = text ? sg_fd_replace_file(path, text, strlen(text), 0600) : -ENOMEM;

	free(text);
	return r < 0 ? sg_error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

// ---- Changes ----

// The member `key`, made when it is missing. `parent` keeps it.
static json_t *member(json_t *parent, const char *key, json_t *(*make)(void))
{
	json_t *value = json_object_get(parent, key);

	if (value)
		return value;
	return json_object_set_new(parent, key, make()) < 0 ? NULL : json_object_get(parent, key);
}

int sg_oci_add_mount(json_t *config, const char *source, const char *destination)
{
	return json_array_append_new(member(config, "mounts", json_array),
		       json_pack("{s:s, s:s, s:s, s:[s,s,s,s,s]}", "destination", destination,
			       "type", "bind", "source", source, "options", "bind", "ro", "nosuid",
			       "nodev", "rprivate")) < 0
		       ? -ENOMEM
		       : 0;
}

// Of two that are the same, programs see the first.
const char *sg_oci_variable(const json_t *config, const char *name)
{
	const json_t *environment = json_object_get(json_object_get(config, "process"), "env");
	size_t index, length = strlen(name);
	json_t *item;

	json_array_foreach((json_t *)environment, index, item)
	{
		const char *text = json_string_value(item);

		if (strncmp(text, name, length) == 0 && text[length] == '=')
			return text + length + 1;
	}
	return NULL;
}

int sg_oci_add_variable(json_t *config, const char *name, const char *value)
{
	return json_array_append_new(member(json_object_get(config, "process"), "env", json_array),
		       json_sprintf("%s=%s", name, value)) < 0
		       ? -ENOMEM
		       : 0;
}

int sg_oci_add_hook(json_t *config, const char *path, json_t *arguments, int timeout_s)
{
	json_t *list = member(member(config, "hooks", json_object), "createRuntime", json_array);

	return json_array_append_new(list, json_pack("{s:s, s:o, s:i}", "path", path, "args",
						   arguments, "timeout", timeout_s)) < 0
		       ? -ENOMEM
		       : 0;
}

static bool is_own_hook(const json_t *hook, const char *name)
{
	const char *first = json_string_value(json_array_get(json_object_get(hook, "args"), 0));

	return first && strcmp(first, name) == 0;
}

static bool is_own_mount(const json_t *mount, const char *directory)
{
	const char *source = json_string_value(json_object_get(mount, "source"));
	size_t length = strlen(directory);

	return source && strncmp(source, directory, length) == 0 && source[length] == '/';
}

static void remove_own(
	json_t *list, bool (*is_own)(const json_t *item, const char *what), const char *what)
{
	for (size_t i = json_array_size(list); i-- > 0;)
		if (is_own(json_array_get(list, i), what))
			json_array_remove(list, i);
}

void sg_oci_remove_own(json_t *config, const char *name, const char *directory)
{
	remove_own(json_object_get(json_object_get(config, "hooks"), "createRuntime"), is_own_hook,
		name);
	remove_own(json_object_get(config, "mounts"), is_own_mount, directory);
}
