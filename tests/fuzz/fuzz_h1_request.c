// SPDX-License-Identifier: Apache-2.0
// Views lie within the input; a shorter input is never a complete head of another length; the body
// decoder takes the same bytes in one piece and in many. A head that gets another key is one,
// whatever stands in it.
#include <stdlib.h>
#include <string.h>

#include "http/h1.h"
#include "provider/credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void check_credential(const struct sg_h1_head *head, const char *provider)
{
	struct sg_credential credential = { sg_provider_by_name(provider), "sk-real", false };
	struct sg_buf out = { .data = NULL };
	int r = sg_credential_start_line(&credential, head, &out);

	for (size_t i = 0; r >= 0 && i < head->header_count; i++)
		r = sg_credential_header(&credential, &head->headers[i], &out);
	if (r >= 0)
		r = sg_credential_end(&credential, &out);
	if (r < 0 || !credential.placed)
		abort();
	(void)sg_credential_is_signed(head);
	sg_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *reason = "";
	struct sg_h1_head head, shorter;
	size_t payload, payload_bytewise;
	ssize_t length = sg_h1_parse_head(SG_H1_REQUEST, false, text, size, &head, &reason), whole,
		bytewise;

	if (length <= 0)
		return 0;
	if ((size_t)length > size || head.length != (size_t)length)
		abort();
	check_view(head.method, text, (size_t)length);
	check_view(head.target, text, (size_t)length);
	check_view(head.host, text, (size_t)length);
	for (size_t i = 0; i < head.header_count; i++) {
		check_view(head.headers[i].name, text, (size_t)length);
		check_view(head.headers[i].value, text, (size_t)length);
		check_view(head.headers[i].line, text, (size_t)length);
	}
	check_credential(&head, "openai");
	check_credential(&head, "gemini");
	if (sg_h1_parse_head(SG_H1_REQUEST, false, text, (size_t)length - 1, &shorter, &reason) > 0)
		abort();
	whole = run_body(&head, text + length, size - (size_t)length, SIZE_MAX, &payload);
	bytewise = run_body(&head, text + length, size - (size_t)length, 1, &payload_bytewise);
	if (whole != bytewise || (whole >= 0 && payload != payload_bytewise))
		abort();
	return 0;
}
