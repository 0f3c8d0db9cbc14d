// SPDX-License-Identifier: Apache-2.0
// The labels that an image brings with it. Engines merge them into those of its containers, where
// nobody can tell any more who said what. One thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"

// Of a Docker container's image: `file` is its config.v2.json, `data_root` the engine's. The image
// is in the engine's own store, or in containerd's. *ret_labels is a new reference, string to
// string. Returns 0, or -errno: it can't be told.
int sg_image_of_docker(const char *data_root, const json_t *file, json_t **ret_labels) SG_WUNRES;

// Of what podman, or another one with its kind of store, started: it hands an image's annotations
// to its containers. Returns as above, and -ENODEV: `root_path` is in no such store.
int sg_image_of_storage(const char *root_path, const char *id, json_t **ret_labels) SG_WUNRES;
