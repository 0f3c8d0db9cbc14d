// SPDX-License-Identifier: Apache-2.0
// Files of a container before its first process, as that process will see them: symbolic links stay
// inside, and bind mounts of the configuration are followed to their source. One thread.
#pragma once

#include <limits.h>
#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_root {
	int fd; // of the root directory
	const json_t *mounts;
};

// `config` is the bundle's config.json, borrowed for the life of `ret_root`; a relative root is
// below `bundle`. Returns 0 or -errno with the sentence.
int sg_root_open(const json_t *config, const char *bundle, struct sg_root *ret_root,
	struct sg_error *error) SG_WUNRES;
void sg_root_close(struct sg_root *root);

// Opens a regular file of at most `limit` bytes and reads it whole. *ret_data is freed by the
// caller; `ret_path` (PATH_MAX) is the path without symbolic links. Returns 0 or -errno.
int sg_root_read(const struct sg_root *root, const char *path, size_t limit, char *ret_path,
	char **ret_data, size_t *ret_length) SG_WUNRES;

// Calls `visit` for every path that a pattern matches; `*` stands for a part of one name, as in
// "/usr/lib/python3*/site-packages". Only the image is searched, not mounts.
typedef void (*sg_root_visit_fn)(void *context, const char *path);
void sg_root_each(
	const struct sg_root *root, const char *pattern, sg_root_visit_fn visit, void *context);
