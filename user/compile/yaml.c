// SPDX-License-Identifier: Apache-2.0
#include "compile/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#define MAX_DEPTH   64
#define MAX_ENTRIES 4096      // of one mapping or sequence
#define MAX_MERGED  (1 << 20) // keys looked at for merges, in all

struct anchor {
	struct anchor *next;
	const struct sg_yaml_node *node;
	char name[];
};

struct sg_yaml_document {
	struct sg_yaml_node *nodes;
	struct anchor *anchors;
	unsigned merged;
};

struct reader {
	yaml_parser_t parser;
	struct sg_yaml_document *document;
	struct sg_error *error;
};

static int read_node(
	struct reader *reader, yaml_event_t *event, unsigned depth, struct sg_yaml_node **ret_node);

// ---- Errors ----

static int fail_at(const struct reader *reader, const yaml_mark_t *mark, const char *problem)
{
	return sg_error_set(reader->error, -EINVAL, "line %zu, column %zu: %s", mark->line + 1,
		mark->column + 1, problem);
}

static int fail_memory(const struct reader *reader)
{
	return sg_error_set(reader->error, -ENOMEM, "out of memory");
}

static int next_event(struct reader *reader, yaml_event_t *event)
{
	if (yaml_parser_parse(&reader->parser, event))
		return 0;
	if (reader->parser.error == YAML_MEMORY_ERROR)
		return fail_memory(reader);
	return fail_at(reader, &reader->parser.problem_mark,
		reader->parser.problem ? reader->parser.problem : "can't be read");
}

// ---- Nodes ----

static struct sg_yaml_node *new_node(
	struct reader *reader, const yaml_event_t *event, enum sg_yaml_kind kind)
{
	struct sg_yaml_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->line = (unsigned)event->start_mark.line + 1;
	node->column = (unsigned)event->start_mark.column + 1;
	node->next = reader->document->nodes;
	reader->document->nodes = node;
	return node;
}

// Takes `key`.
static int add_item(
	struct reader *reader, struct sg_yaml_node *node, char *key, struct sg_yaml_node *item)
{
	size_t count = node->count;

	if ((count & (count + 1)) == 0) { // room for twice as many
		size_t room = 2 * count + 2;
		struct sg_yaml_node **items =
			realloc(node->items, room * sizeof(struct sg_yaml_node *));
		char **keys = items ? realloc(node->keys, room * sizeof(char *)) : NULL;

		if (items)
			node->items = items;
		if (keys)
			node->keys = keys;
		if (!keys) {
			free(key);
			return fail_memory(reader);
		}
	}
	node->keys[count] = key;
	node->items[count] = item;
	node->count++;
	return 0;
}

static int set_anchor(
	struct reader *reader, const yaml_char_t *name, const struct sg_yaml_node *node)
{
	size_t length = strlen((const char *)name);
	struct anchor *anchor = malloc(sizeof(*anchor) + length + 1);

	if (!anchor)
		return fail_memory(reader);
	memcpy(anchor->name, name, length + 1);
	anchor->node = node;
	anchor->next = reader->document->anchors; // a name that is used again means the newer one
	reader->document->anchors = anchor;
	return 0;
}

static const struct sg_yaml_node *find_anchor(const struct reader *reader, const yaml_char_t *name)
{
	const struct anchor *anchor = reader->document->anchors;

	while (anchor && strcmp(anchor->name, (const char *)name) != 0)
		anchor = anchor->next;
	return anchor ? anchor->node : NULL;
}

static int read_scalar(
	struct reader *reader, const yaml_event_t *event, struct sg_yaml_node **ret_node)
{
	struct sg_yaml_node *node = new_node(reader, event, SG_YAML_SCALAR);

	if (!node)
		return fail_memory(reader);
	if (memchr(event->data.scalar.value, 0, event->data.scalar.length))
		return fail_at(reader, &event->start_mark, "a NUL in a text");
	node->text = strdup((const char *)event->data.scalar.value);
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	*ret_node = node;
	return node->text ? 0 : fail_memory(reader);
}

static int read_sequence(struct reader *reader, const yaml_event_t *start, unsigned depth,
	struct sg_yaml_node **ret_node)
{
	struct sg_yaml_node *node = new_node(reader, start, SG_YAML_SEQUENCE), *item = NULL;
	int r = node ? 0 : fail_memory(reader);

	while (r == 0) {
		yaml_event_t event;
		bool end;

		r = next_event(reader, &event);
		if (r < 0)
			break;
		end = event.type == YAML_SEQUENCE_END_EVENT;
		if (!end && node->count >= MAX_ENTRIES)
			r = fail_at(reader, &event.start_mark, "too many entries");
		else if (!end)
			r = read_node(reader, &event, depth + 1, &item);
		if (r == 0 && !end)
			r = add_item(reader, node, NULL, item);
		yaml_event_delete(&event);
		if (end)
			break;
	}
	*ret_node = node;
	return r;
}

// ---- Mappings ----

static bool has_key(const struct sg_yaml_node *node, const char *key)
{
	return sg_yaml_get(node, key) != NULL;
}

static int merge_mapping(struct reader *reader, struct sg_yaml_node *node,
	const struct sg_yaml_node *source, const yaml_mark_t *mark)
{
	int r = 0;

	if (source->kind != SG_YAML_MAPPING)
		return fail_at(reader, mark, "<<: must be a mapping or a list of mappings");
	for (size_t i = 0; r == 0 && i < source->count; i++) {
		char *key;

		if (++reader->document->merged > MAX_MERGED || node->count >= MAX_ENTRIES)
			return fail_at(reader, mark, "too many merged keys");
		if (has_key(node, source->keys[i]))
			continue;
		key = strdup(source->keys[i]);
		r = key ? add_item(reader, node, key, source->items[i]) : fail_memory(reader);
	}
	return r;
}

static int merge(struct reader *reader, struct sg_yaml_node *node,
	const struct sg_yaml_node *source, const yaml_mark_t *mark)
{
	int r = 0;

	if (source->kind != SG_YAML_SEQUENCE)
		return merge_mapping(reader, node, source, mark);
	for (size_t i = 0; r == 0 && i < source->count; i++)
		r = merge_mapping(reader, node, source->items[i], mark);
	return r;
}

static int check_key(
	const struct reader *reader, const struct sg_yaml_node *node, const yaml_event_t *event)
{
	if (event->type != YAML_SCALAR_EVENT)
		return fail_at(reader, &event->start_mark, "a key must be a text");
	if (event->data.scalar.tag)
		return fail_at(reader, &event->start_mark, "tags (!) are not supported");
	if (memchr(event->data.scalar.value, 0, event->data.scalar.length))
		return fail_at(reader, &event->start_mark, "a NUL in a key");
	if (has_key(node, (const char *)event->data.scalar.value))
		return fail_at(reader, &event->start_mark, "this key is here twice");
	if (node->count >= MAX_ENTRIES)
		return fail_at(reader, &event->start_mark, "too many keys");
	return 0;
}

// One key, whose event is there, and its value. What is merged comes last: a mapping's own keys are
// stronger.
static int read_pair(struct reader *reader, struct sg_yaml_node *node,
	const yaml_event_t *key_event, unsigned depth, struct sg_yaml_node **merged)
{
	struct sg_yaml_node *item = NULL;
	yaml_event_t event;
	char *key;
	int r = check_key(reader, node, key_event);

	if (r < 0)
		return r;
	r = next_event(reader, &event);
	if (r < 0)
		return r;
	r = read_node(reader, &event, depth + 1, &item);
	yaml_event_delete(&event);
	if (r < 0)
		return r;
	if (strcmp((const char *)key_event->data.scalar.value, "<<") == 0) {
		if (*merged)
			return fail_at(reader, &key_event->start_mark, "this key is here twice");
		*merged = item;
		return 0;
	}
	key = strdup((const char *)key_event->data.scalar.value);
	return key ? add_item(reader, node, key, item) : fail_memory(reader);
}

static int read_mapping(struct reader *reader, const yaml_event_t *start, unsigned depth,
	struct sg_yaml_node **ret_node)
{
	struct sg_yaml_node *node = new_node(reader, start, SG_YAML_MAPPING), *merged = NULL;
	int r = node ? 0 : fail_memory(reader);

	while (r == 0) {
		yaml_event_t event;
		bool end;

		r = next_event(reader, &event);
		if (r < 0)
			break;
		end = event.type == YAML_MAPPING_END_EVENT;
		if (!end)
			r = read_pair(reader, node, &event, depth, &merged);
		yaml_event_delete(&event);
		if (end)
			break;
	}
	if (r == 0 && merged)
		r = merge(reader, node, merged, &start->start_mark);
	*ret_node = node;
	return r;
}

// ---- Documents ----

static int read_alias(
	const struct reader *reader, const yaml_event_t *event, struct sg_yaml_node **ret_node)
{
	const struct sg_yaml_node *node = find_anchor(reader, event->data.alias.anchor);

	if (!node)
		return fail_at(reader, &event->start_mark,
			"an alias of an anchor that is not complete before it");
	*ret_node = (struct sg_yaml_node *)node; // never changed any more
	return 0;
}

static int read_node(
	struct reader *reader, yaml_event_t *event, unsigned depth, struct sg_yaml_node **ret_node)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;
	int r;

	if (depth > MAX_DEPTH)
		return fail_at(reader, &event->start_mark, "nested too deep");
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return read_alias(reader, event, ret_node);
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		r = tag ? 0 : read_scalar(reader, event, ret_node);
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
		r = tag ? 0 : read_sequence(reader, event, depth, ret_node);
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		r = tag ? 0 : read_mapping(reader, event, depth, ret_node);
		break;
	default:
		return fail_at(reader, &event->start_mark, "a value is missing");
	}
	if (tag)
		return fail_at(reader, &event->start_mark, "tags (!) are not supported");
	return r == 0 && anchor ? set_anchor(reader, anchor, *ret_node) : r;
}

static int read_stream(struct reader *reader, const struct sg_yaml_node **ret_root)
{
	bool had_document = false, end = false;
	int r = 0;

	while (r == 0 && !end) {
		struct sg_yaml_node *root = NULL;
		yaml_event_t event;

		r = next_event(reader, &event);
		if (r < 0)
			break;
		if (event.type == YAML_DOCUMENT_START_EVENT && had_document)
			r = fail_at(reader, &event.start_mark, "a second document: one a file");
		else if (event.type == YAML_DOCUMENT_START_EVENT)
			had_document = true;
		else if (event.type == YAML_STREAM_END_EVENT)
			end = true;
		else if (event.type != YAML_STREAM_START_EVENT &&
			 event.type != YAML_DOCUMENT_END_EVENT) {
			r = read_node(reader, &event, 0, &root);
			*ret_root = root;
		}
		yaml_event_delete(&event);
	}
	return r;
}

int sg_yaml_parse(const char *text, size_t length, struct sg_yaml_document **ret_document,
	const struct sg_yaml_node **ret_root, struct sg_error *error)
{
	struct reader reader = { .error = error };
	int r;

	*ret_root = NULL;
	if (length > SG_YAML_MAX_BYTES)
		return sg_error_set(error, -EFBIG, "is larger than 1 MiB");
	reader.document = calloc(1, sizeof(*reader.document));
	if (!reader.document || !yaml_parser_initialize(&reader.parser)) {
		free(reader.document);
		return fail_memory(&reader);
	}
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
	r = read_stream(&reader, ret_root);
	yaml_parser_delete(&reader.parser);
	if (r < 0) {
		sg_yaml_free(reader.document);
		return r;
	}
	*ret_document = reader.document;
	return 0;
}

struct sg_yaml_document *sg_yaml_free(struct sg_yaml_document *document)
{
	struct sg_yaml_node *node, *next_node;
	struct anchor *anchor, *next_anchor;

	if (!document)
		return NULL;
	for (node = document->nodes; node; node = next_node) {
		next_node = node->next;
		for (size_t i = 0; i < node->count; i++)
			free(node->keys[i]);
		free(node->keys);
		free(node->items);
		free(node->text);
		free(node);
	}
	for (anchor = document->anchors; anchor; anchor = next_anchor) {
		next_anchor = anchor->next;
		free(anchor);
	}
	free(document);
	return NULL;
}

const struct sg_yaml_node *sg_yaml_get(const struct sg_yaml_node *node, const char *key)
{
	for (size_t i = 0; node && node->kind == SG_YAML_MAPPING && i < node->count; i++)
		if (strcmp(node->keys[i], key) == 0)
			return node->items[i];
	return NULL;
}

bool sg_yaml_is_null(const struct sg_yaml_node *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	for (size_t i = 0; node->kind == SG_YAML_SCALAR && node->plain && i < SG_ARRAY_SIZE(words);
		i++)
		if (strcmp(node->text, words[i]) == 0)
			return true;
	return false;
}
