// SPDX-License-Identifier: Apache-2.0
// A head and a body of HTTP/1.1: views lie within the input; a shorter input is never a complete
// head of another length; the body decoder takes the same bytes in one piece and in many.
#pragma once

#include <stdlib.h>

#include "http/h1.h"

static void check_view(struct sg_str view, const char *data, size_t size)
{
	if (view.length && (view.data < data || view.data + view.length > data + size))
		abort();
}

static ssize_t run_body(const struct sg_h1_head *head, const char *data, size_t size, size_t piece,
	size_t *ret_payload)
{
	struct sg_h1_body body;
	size_t taken = 0;

	*ret_payload = 0;
	sg_h1_body_init(&body, head);
	while (taken < size && !sg_h1_body_is_done(&body)) {
		struct sg_str payload;
		size_t n = size - taken < piece ? size - taken : piece;
		ssize_t used = sg_h1_body_feed(&body, data + taken, n, &payload);

		if (used < 0)
			return used;
		if (used == 0 || (size_t)used > n)
			abort();
		check_view(payload, data + taken, (size_t)used);
		*ret_payload += payload.length;
		taken += (size_t)used;
	}
	return (ssize_t)taken;
}

static void check_headers(const struct sg_h1_head *head, const char *data, size_t size)
{
	for (size_t i = 0; i < head->header_count; i++) {
		check_view(head->headers[i].name, data, size);
		check_view(head->headers[i].value, data, size);
		check_view(head->headers[i].line, data, size);
	}
}

// Returns whether the input begins with a head.
static bool check_message(
	enum sg_h1_kind kind, const char *text, size_t size, struct sg_h1_head *ret_head)
{
	const char *reason = "";
	struct sg_h1_head shorter;
	size_t payload, payload_bytewise;
	ssize_t length = sg_h1_parse_head(kind, false, text, size, ret_head, &reason), whole,
		bytewise;

	if (length <= 0)
		return false;
	if ((size_t)length > size || ret_head->length != (size_t)length)
		abort();
	check_headers(ret_head, text, (size_t)length);
	if (sg_h1_parse_head(kind, false, text, (size_t)length - 1, &shorter, &reason) > 0)
		abort();
	whole = run_body(ret_head, text + length, size - (size_t)length, SIZE_MAX, &payload);
	bytewise = run_body(ret_head, text + length, size - (size_t)length, 1, &payload_bytewise);
	if (whole != bytewise || (whole >= 0 && payload != payload_bytewise))
		abort();
	return true;
}
