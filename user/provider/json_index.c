// SPDX-License-Identifier: Apache-2.0
#include "provider/json_index.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

// A power of two, and far more than there are tables.
#define MAX_TABLES 256

// Found by the table's address. An entry is written once and stays.
static _Atomic(struct sg_json_index *) indexes[MAX_TABLES];

static size_t slot_of(const struct sg_json_path *paths)
{
	return ((uintptr_t)paths >> 4) * 0x9e3779b1u >> 7;
}

static int node_of(const struct sg_json_path *paths, size_t row)
{
	return paths[row].same_as ? paths[row].same_as : (int)row + 1;
}

static void add_children(struct sg_json_index *index, int parent, unsigned *used)
{
	struct sg_json_children *children = &index->children[parent];

	*children = (struct sg_json_children){
		.begin = (uint16_t)*used, .element = SG_JSON_UNWANTED, .any = SG_JSON_UNWANTED
	};
	for (size_t i = 0; i < index->path_count; i++) {
		const struct sg_json_path *path = &index->paths[i];
		int16_t node = (int16_t)node_of(index->paths, i);

		if (path->parent != parent)
			continue;
		if (!path->key)
			children->element = node;
		else if (strcmp(path->key, "*") == 0)
			children->any = node;
		else
			index->members[(*used)++] =
				(struct sg_json_member){ .length = (uint8_t)strlen(path->key),
					.first = path->key[0],
					.node = node,
					.key = path->key };
	}
	children->end = (uint16_t)*used;
}

static struct sg_json_index *make_index(const struct sg_json_path *paths, size_t path_count)
{
	size_t members = sizeof(struct sg_json_member) * path_count;
	struct sg_json_index *index = malloc(
		sizeof(*index) + members + sizeof(struct sg_json_children) * (path_count + 1));
	unsigned used = 0;

	if (!index)
		return NULL;
	index->paths = paths;
	index->path_count = path_count;
	index->children = (struct sg_json_children *)(index->members + path_count);
	for (size_t parent = 0; parent <= path_count; parent++)
		add_children(index, (int)parent, &used);
	return index;
}

const struct sg_json_index *sg_json_index_of(const struct sg_json_path *paths, size_t path_count)
{
	size_t slot = slot_of(paths);

	for (size_t i = 0; i < MAX_TABLES; i++) {
		_Atomic(struct sg_json_index *) *at = &indexes[(slot + i) % MAX_TABLES];
		struct sg_json_index *found = atomic_load_explicit(at, memory_order_acquire);
		struct sg_json_index *made;

		if (!found) {
			made = make_index(paths, path_count);
			if (!made)
				return NULL;
			// Another thread may have been faster, for this table or another one.
			if (atomic_compare_exchange_strong(at, &found, made))
				return made;
			free(made);
		}
		if (found->paths == paths && found->path_count == path_count)
			return found;
	}
	return NULL;
}

const char *sg_json_find_in_other_case(
	const struct sg_json_index *index, int parent, const char *key, size_t length)
{
	const struct sg_json_children *children = &index->children[parent];
	const char *found = NULL;

	for (unsigned i = children->begin; i < children->end; i++) {
		const struct sg_json_member *member = &index->members[i];

		if (!sg_json_same_but_for_case(member->key, member->length, key, length))
			continue;
		if (member->length == length && memcmp(member->key, key, length) == 0)
			return NULL;
		found = member->key;
	}
	return found;
}
