// SPDX-License-Identifier: Apache-2.0
// YAML as pod files have it, read with libyaml into a tree that knows its places: mappings with
// text keys, sequences, scalars, anchors, aliases and merge keys (<<). Anything else (tags, several
// documents, other keys, keys twice) is an error with line and column. One thread a document.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"

#define SG_YAML_MAX_BYTES (1u << 20)

enum sg_yaml_kind { SG_YAML_SCALAR, SG_YAML_SEQUENCE, SG_YAML_MAPPING };

// Owned by its document; an alias is the node that it names.
struct sg_yaml_node {
	enum sg_yaml_kind kind;
	unsigned line, column; // from 1
	char *text;	       // of a scalar
	bool plain;	       // a scalar without quotes
	size_t count;
	char **keys; // of a mapping
	struct sg_yaml_node **items;
	struct sg_yaml_node *next; // in the document's list
};

struct sg_yaml_document;

// *ret_root is NULL for an empty document. Returns 0, -EINVAL with the place, -EFBIG or -ENOMEM.
int sg_yaml_parse(const char *text, size_t length, struct sg_yaml_document **ret_document,
	const struct sg_yaml_node **ret_root, struct sg_error *error) SG_WUNRES;
struct sg_yaml_document *sg_yaml_free(struct sg_yaml_document *document);

// The value of a key, or NULL. `node` may be NULL or no mapping.
const struct sg_yaml_node *sg_yaml_get(const struct sg_yaml_node *node, const char *key);

// Is it null, ~ or nothing?
bool sg_yaml_is_null(const struct sg_yaml_node *node);
