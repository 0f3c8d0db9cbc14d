// SPDX-License-Identifier: Apache-2.0
// Limits that a request sets, the output's above all: what they are, where they stand, and how a
// lower one is put there.
#include <errno.h>
#include <stdio.h>

#include "provider/api.h"

void sg_request_limit(const struct sg_json_value *value, int64_t absent, int64_t *ret_limit)
{
	if (sg_json_count(value, ret_limit) < 0)
		*ret_limit = absent;
}

void sg_request_multiplier(const struct sg_json_value *value, int64_t *count)
{
	int64_t told;

	if (value->end || value->type == SG_JSON_NULL)
		return;
	if (sg_json_count(value, &told) < 0)
		told = SG_COUNT_MAX;
	if (told > *count)
		*count = told;
}

void sg_request_larger_limit(const struct sg_json_value *value, bool first, int64_t *ret_limit)
{
	int64_t count;

	sg_request_limit(value, -1, &count);
	if (first || (*ret_limit >= 0 && (count < 0 || count > *ret_limit)))
		*ret_limit = count;
}

void sg_request_largest_limit(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_place *place = &reader->limits[SG_LIMIT_PRIMARY];

	if (!value->end && (place->seen || value->type != SG_JSON_NULL))
		sg_request_larger_limit(value, place->seen++ == 0, &reader->max_primary);
}

static void note_place(struct sg_request_place *place, const struct sg_json_value *value)
{
	if (!value->end) {
		place->seen++;
		place->offset = value->offset;
		place->is_null = value->type == SG_JSON_NULL;
		place->is_object = value->type == SG_JSON_OBJECT;
		place->has_members = false;
	}
	place->end = value->end_offset;
}

void sg_request_output_limit(struct sg_request_reader *reader, const struct sg_json_value *value,
	enum sg_limit_field field)
{
	note_place(&reader->limits[field], value);
	if (!value->end)
		sg_request_larger_limit(value, reader->limits[field].seen == 1,
			field == SG_LIMIT_PRIMARY ? &reader->max_primary : &reader->max_fallback);
}

void sg_request_limit_object(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	unsigned limits = reader->limits[SG_LIMIT_PRIMARY].seen;

	note_place(&reader->limit_object, value);
	reader->limit_object_node = value->node;
	if (value->end ? limits == reader->limits_before : value->type != SG_JSON_OBJECT)
		reader->unlimited_object = true;
	reader->limits_before = limits;
}

// What a full parser would read in one way only: a member that is named twice is read by some as
// the first, by others as the last.
bool sg_request_can_limit(const struct sg_request_reader *reader)
{
	const struct sg_limit_member *member = reader->api->limit;
	unsigned present = reader->limits[0].seen + reader->limits[1].seen;

	if (!member || (reader->facts.traits & SG_TRAIT_LIMIT_LEAKS) || reader->compacts ||
		reader->facts.unbounded)
		return false;
	if (reader->limits[0].seen > 1 || reader->limits[1].seen > 1 ||
		reader->limit_object.seen > 1)
		return false;
	return present || !member->required;
}

static int add_member(
	const struct sg_request_reader *reader, int64_t tokens, struct sg_request_edits *edits)
{
	const struct sg_limit_member *member = reader->api->limit;
	const struct sg_request_place *object = &reader->limit_object;
	const char *name =
		member->completion_name && (reader->facts.traits & SG_TRAIT_COMPLETION_LIMIT)
			? member->completion_name
			: member->name;
	uint64_t offset = reader->object_offset + 1, remove = 0;
	char text[80];

	if (!member->object) {
		snprintf(text, sizeof(text), "\"%s\":%lld,", name, (long long)tokens);
	} else if (object->seen && object->is_object) {
		offset = object->offset + 1;
		snprintf(text, sizeof(text), "\"%s\":%lld%s", name, (long long)tokens,
			object->has_members ? "," : "");
	} else {
		// An object that is null, or none, is replaced by one, or put first.
		offset = object->seen ? object->offset : offset;
		remove = object->seen ? object->end - object->offset : 0;
		if (object->seen)
			snprintf(text, sizeof(text), "{\"%s\":%lld}", name, (long long)tokens);
		else
			snprintf(text, sizeof(text), "\"%s\":{\"%s\":%lld},", member->object, name,
				(long long)tokens);
	}
	return sg_request_edits_add(edits, offset, remove, text);
}

static bool is_given(const struct sg_request_place *place)
{
	return place->seen && !place->is_null;
}

int sg_request_reader_limit(
	const struct sg_request_reader *reader, int64_t tokens, struct sg_request_edits *edits)
{
	const struct sg_request_place *limits = reader->limits;
	bool any_given = is_given(&limits[0]) || is_given(&limits[1]), replaced = false;
	char text[24];
	int r = 0;

	if (!reader->facts.can_limit)
		return -ENOTSUP;
	snprintf(text, sizeof(text), "%lld", (long long)tokens);
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(reader->limits); i++) {
		// Of two names the one that is given; both at once are refused by some.
		if (any_given ? !is_given(&limits[i]) : !limits[i].seen || replaced)
			continue;
		r = sg_request_edits_add(
			edits, limits[i].offset, limits[i].end - limits[i].offset, text);
		replaced = true;
	}
	if (r == 0 && !replaced)
		r = add_member(reader, tokens, edits);
	return r < 0 ? -ENOTSUP : 0;
}
