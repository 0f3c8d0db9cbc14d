// SPDX-License-Identifier: Apache-2.0
// Requests (h1.h). A head that gets another key is one, whatever stands in it.
#include "h1.h"

#include "provider/credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	const char *text = (const char *)data;
	struct sg_h1_head head;

	if (!check_message(SG_H1_REQUEST, text, size, &head))
		return 0;
	check_view(head.method, text, head.length);
	check_view(head.target, text, head.length);
	check_view(head.host, text, head.length);
	check_credential(&head, "openai");
	check_credential(&head, "gemini");
	return 0;
}
