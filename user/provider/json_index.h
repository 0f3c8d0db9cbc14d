// SPDX-License-Identifier: Apache-2.0
// A table of wanted paths, made ready for look-ups: what is below each node, by length and first
// byte of the key. Made once per table and kept; any thread.
#pragma once

#include <stdint.h>

#include "provider/json_scan.h"

struct sg_json_member {
	uint8_t length;
	char first;
	int16_t node;
	const char *key;
};

// What is below one node.
struct sg_json_children {
	uint16_t begin, end; // of the members
	int16_t element;     // SG_JSON_UNWANTED: none
	int16_t any;	     // the member "*"
};

struct sg_json_index {
	const struct sg_json_path *paths;
	size_t path_count;
	struct sg_json_children *children; // by node, 0 to path_count
	struct sg_json_member members[];
};

// `paths` must live as long as the program. NULL: out of memory, or more tables than there are.
const struct sg_json_index *sg_json_index_of(const struct sg_json_path *paths, size_t path_count);

static inline int sg_json_find_member(
	const struct sg_json_index *index, int parent, const char *key, size_t length)
{
	const struct sg_json_children *children;

	if (parent == SG_JSON_UNWANTED)
		return SG_JSON_UNWANTED;
	children = &index->children[parent];
	for (unsigned i = children->begin; i < children->end; i++) {
		const struct sg_json_member *member = &index->members[i];

		if (member->length == length && member->first == key[0] &&
			__builtin_memcmp(member->key, key, length) == 0)
			return member->node;
	}
	return children->any;
}

// The wanted key that this one is but for the case of its letters, as some decoders take it (Go's
// folds also two letters that are not ASCII). NULL: none, or it is a wanted key itself.
const char *sg_json_find_in_other_case(
	const struct sg_json_index *index, int parent, const char *key, size_t length);

static inline int sg_json_find_element(const struct sg_json_index *index, int parent)
{
	return parent == SG_JSON_UNWANTED ? SG_JSON_UNWANTED : index->children[parent].element;
}
