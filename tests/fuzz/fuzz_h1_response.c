// SPDX-License-Identifier: Apache-2.0
// Answers (h1.h).
#include "h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct sg_h1_head head;

	if (check_message(SG_H1_RESPONSE, text, size, &head))
		check_view(head.start_line, text, head.length);
	return 0;
}
