// SPDX-License-Identifier: Apache-2.0
// A container's labels, and the policy that they ask for. One thread.
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"
#include "container/engine.h"

struct sg_labels {
	json_t *all;	// every label (and OCI annotation), string to string
	json_t *image;	// those that its image has, which may ask for less than the others; NULL:
			// none
	char name[256]; // of the container as its engine shows it; "": not known
};

// `config` is the bundle's config.json. Docker keeps labels out of it, in a file of its own below
// its data root, which is found from the container's root. Where an engine mixes its image's labels
// in and the image is not found, all are taken for the image's. Returns 0 or -errno with the
// sentence.
int sg_labels_read(const json_t *config, const char *id, struct sg_labels *ret_labels,
	struct sg_error *error) SG_WUNRES;

// The same of a container that runs, as its engine tells. Returns 0 or -ENOMEM with the sentence.
int sg_labels_of_engine(const char *socket_path, const struct sg_engine_container *container,
	struct sg_labels *ret_labels, struct sg_error *error) SG_WUNRES;

// Adds labels that somebody gives by hand: they go before the container's own, and are nobody
// else's.
void sg_labels_add(struct sg_labels *labels, const json_t *more);
void sg_labels_release(struct sg_labels *labels);

// Does a label of ours make it an agent?
bool sg_labels_agent(const struct sg_labels *labels);

// The request "register" of spendgate/control.h, without its judgement of names and amounts, and of
// what an image may ask for, which is spendgated's. `profile` (NULL: none) holds where the label
// names none. *ret_request is a new reference. Returns 0, or -EINVAL with a sentence that names the
// label.
int sg_labels_request(const struct sg_labels *labels, const char *id, const char *profile,
	json_t **ret_request, struct sg_error *error) SG_WUNRES;
