// SPDX-License-Identifier: Apache-2.0
#include "container/image.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/json.h"

#define FILE_LIMIT (64u << 20)
#define ALGORITHM  "sha256:"
#define HEX	   "0123456789abcdef"

// ---- Files ----

// What an image's author wrote is stored as it was written, and engines take more for a member than
// this reader does: a key in another case, and one that is there twice. Such a file can't be told.
static int load(const char *path, json_t **ret_file)
{
	struct sg_error ignored;
	char *text;
	size_t length;
	int r = sg_fd_read_file(path, FILE_LIMIT, &text, &length);

	if (r < 0)
		return r;
	*ret_file = sg_json_parse(text, length, path, &ignored);
	free(text);
	return *ret_file ? 0 : -EBADMSG;
}

// NULL: the object has no such member.
static int member(const json_t *object, const char *key, json_t **ret_value)
{
	if (!json_is_object(object) || sg_json_key_in_other_case(object, key))
		return -EBADMSG;
	*ret_value = json_object_get(object, key);
	return 0;
}

// The part of a digest that names files. NULL: it is none, or one of another kind.
static const char *hex_of(const char *digest)
{
	size_t prefix = strlen(ALGORITHM);

	if (!digest || strncmp(digest, ALGORITHM, prefix) != 0)
		return NULL;
	digest += prefix;
	return *digest && digest[strspn(digest, HEX)] == 0 ? digest : NULL;
}

// An engine reads null as an empty text.
static bool are_texts(const json_t *labels)
{
	const char *label;
	json_t *value;

	json_object_foreach((json_t *)labels, label, value)
	{
		if (!json_is_string(value))
			return false;
	}
	return true;
}

// Takes `file`. No labels at all are an empty object; what is no object of texts can't be told.
static int take_object(json_t *file, const char *parent, const char *key, json_t **ret_labels)
{
	json_t *object = file, *labels = NULL;
	int r = parent ? member(file, parent, &object) : 0;

	if (r == 0)
		r = member(object, key, &labels);
	if (r == 0 && json_is_object(labels))
		r = are_texts(labels) ? 0 : -EBADMSG;
	else if (r == 0 && labels && !json_is_null(labels))
		r = -EBADMSG;
	if (r == 0)
		*ret_labels = json_is_object(labels) ? json_incref(labels) : json_object();
	json_decref(file);
	return r < 0 ? r : *ret_labels ? 0 : -ENOMEM;
}

// ---- Docker ----

static int of_own_store(const char *data_root, const json_t *container, json_t **ret_labels)
{
	const char *driver = json_string_value(json_object_get(container, "Driver"));
	const char *hex = hex_of(json_string_value(json_object_get(container, "Image")));
	char path[PATH_MAX];
	json_t *image;
	int r;

	if (!driver || strchr(driver, '/') || !hex)
		return -EBADMSG;
	if ((size_t)snprintf(path, sizeof(path), "%s/image/%s/imagedb/content/sha256/%s", data_root,
		    driver, hex) >= sizeof(path))
		return -ENAMETOOLONG;
	r = load(path, &image);
	return r < 0 ? r : take_object(image, "config", "Labels", ret_labels);
}

static int load_blob(const char *folder, const char *digest, json_t **ret_blob)
{
	const char *hex = hex_of(digest);
	char path[PATH_MAX];

	if (!hex)
		return -EBADMSG;
	if ((size_t)snprintf(path, sizeof(path),
		    "%s/io.containerd.content.v1.content/blobs/sha256/%s", folder,
		    hex) >= sizeof(path))
		return -ENAMETOOLONG;
	return load(path, ret_blob);
}

// `folder`: containerd's own. The container names a manifest, which names the image.
static int of_containerd(const char *folder, const json_t *container, json_t **ret_labels)
{
	const json_t *descriptor = json_object_get(container, "ImageManifest");
	json_t *manifest, *image, *config, *digest;
	int r = load_blob(
		folder, json_string_value(json_object_get(descriptor, "digest")), &manifest);

	if (r < 0)
		return r;
	r = member(manifest, "config", &config);
	if (r == 0)
		r = member(config, "digest", &digest);
	if (r == 0)
		r = load_blob(folder, json_string_value(digest), &image);
	json_decref(manifest);
	return r < 0 ? r : take_object(image, "config", "Labels", ret_labels);
}

int sg_image_of_docker(const char *data_root, const json_t *file, json_t **ret_labels)
{
	char own[PATH_MAX];
	int r = of_own_store(data_root, file, ret_labels);

	if (r == 0 || !json_object_get(file, "ImageManifest"))
		return r;
	r = of_containerd("/var/lib/containerd", file, ret_labels);
	if (r < 0 &&
		(size_t)snprintf(own, sizeof(own), "%s/containerd/daemon", data_root) < sizeof(own))
		r = of_containerd(own, file, ret_labels); // one that the engine started itself
	return r;
}

// ---- podman ----

static int image_of_container(const json_t *containers, const char *id, const char **ret_image)
{
	size_t index;
	json_t *item;

	json_array_foreach((json_t *)containers, index, item)
	{
		const char *own = json_string_value(json_object_get(item, "id"));
		const char *image = json_string_value(json_object_get(item, "image"));

		if (!own || strcmp(own, id) != 0)
			continue;
		if (!image || !*image || image[strspn(image, HEX)])
			return -EBADMSG;
		*ret_image = image;
		return 0;
	}
	return -ENOENT;
}

// `driver`: the store's folder and the name of its driver, with which other folders begin.
static int of_store(
	const char *driver, const json_t *containers, const char *id, json_t **ret_labels)
{
	const char *image;
	char path[PATH_MAX];
	json_t *manifest;
	int r = image_of_container(containers, id, &image);

	if (r < 0)
		return r;
	if ((size_t)snprintf(path, sizeof(path), "%s-images/%s/manifest", driver, image) >=
		sizeof(path))
		return -ENAMETOOLONG;
	r = load(path, &manifest);
	return r < 0 ? r : take_object(manifest, NULL, "annotations", ret_labels);
}

int sg_image_of_storage(const char *root_path, const char *id, json_t **ret_labels)
{
	char driver[PATH_MAX], path[PATH_MAX];
	json_t *containers;
	char *slash;
	int r;

	if ((size_t)snprintf(driver, sizeof(driver), "%s", root_path) >= sizeof(driver))
		return -ENAMETOOLONG;
	while ((slash = strrchr(driver, '/')) && slash != driver) {
		*slash = 0;
		if ((size_t)snprintf(path, sizeof(path), "%s-containers/containers.json", driver) >=
			sizeof(path))
			return -ENAMETOOLONG;
		r = load(path, &containers);
		if (r == -ENOENT)
			continue;
		if (r == 0) {
			r = of_store(driver, containers, id, ret_labels);
			json_decref(containers);
		}
		return r;
	}
	return -ENODEV;
}
