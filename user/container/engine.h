// SPDX-License-Identifier: Apache-2.0
// A Docker engine, asked over its socket. Only the list of containers, the stream of events, and
// images: a container that starts is locked, and whoever inspects it waits. One thread.
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

#define SG_ENGINE_SOCKET "/var/run/docker.sock"

// A container as both tell it. Strings are borrowed for the call.
struct sg_engine_container {
	const char *id;
	const char *name; // without '/'
	const json_t *labels;
};

// Return 0 to go on; another value ends the call, which returns it.
typedef int (*sg_engine_visit_fn)(void *context, const struct sg_engine_container *container);

// Those that run. Returns 0 or -errno with the sentence.
int sg_engine_each(const char *socket_path, sg_engine_visit_fn visit, void *context,
	struct sg_error *error) SG_WUNRES;

// Opens the stream of containers that start. Returns a descriptor or -errno with the sentence.
int sg_engine_open_events(const char *socket_path, struct sg_error *error) SG_WUNRES;

// Follows it to its end (the engine stopped: 0), or to an error.
int sg_engine_follow(
	int fd, sg_engine_visit_fn visit, void *context, struct sg_error *error) SG_WUNRES;

// The labels that the image of container `id` has, string to string. Returns 0 or -errno with the
// sentence (-ENOENT: no such container runs).
int sg_engine_image_labels(const char *socket_path, const char *id, json_t **ret_labels,
	struct sg_error *error) SG_WUNRES;
