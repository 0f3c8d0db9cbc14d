// SPDX-License-Identifier: Apache-2.0
#include "provider/request_edit.h"

#include <errno.h>
#include <string.h>

int sg_request_edits_add(
	struct sg_request_edits *edits, uint64_t offset, uint64_t remove, const char *text)
{
	unsigned at = edits->count;
	struct sg_request_edit *edit;

	if (edits->count == SG_REQUEST_EDITS || strlen(text) > sizeof(edit->text))
		return -ENOSPC;
	for (; at && edits->list[at - 1].offset > offset; at--)
		edits->list[at] = edits->list[at - 1];
	edit = &edits->list[at];
	memset(edit, 0, sizeof(*edit));
	edit->offset = offset;
	edit->remove = remove;
	edit->text_length = strlen(text);
	memcpy(edit->text, text, edit->text_length);
	edits->count++;
	return 0;
}

uint64_t sg_request_edits_length(const struct sg_request_edits *edits, uint64_t body_length)
{
	for (unsigned i = 0; i < edits->count; i++)
		body_length += edits->list[i].text_length - edits->list[i].remove;
	return body_length;
}

struct sg_request_piece sg_request_edits_at(const struct sg_request_edits *edits, uint64_t offset)
{
	uint64_t body = 0; // where the body goes on behind the edits that lie before `offset`

	for (unsigned i = 0; i < edits->count; i++) {
		const struct sg_request_edit *edit = &edits->list[i];
		uint64_t before = edit->offset - body;

		if (offset < before)
			return (struct sg_request_piece){ NULL, body + offset, before - offset };
		offset -= before;
		if (offset < edit->text_length)
			return (struct sg_request_piece){ edit->text + offset, 0,
				edit->text_length - offset };
		offset -= edit->text_length;
		body = edit->offset + edit->remove;
	}
	return (struct sg_request_piece){ NULL, body + offset, UINT64_MAX };
}
