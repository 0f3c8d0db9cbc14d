// SPDX-License-Identifier: Apache-2.0
// Of any bytes, what is copied is certificates in PEM, the same again when copied again, and never
// a key.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trust/certificates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_buf once = { 0 }, twice = { 0 };
	int count = sg_certificates_append(&once, (const char *)data, size);
	size_t length = sg_buf_length(&once);

	if (count < 0 || (count == 0) != (length == 0))
		abort();
	if (length && memmem(sg_buf_head(&once), length, "-----BEGIN PRIVATE", 18))
		abort();
	if (length && (sg_certificates_append(&twice, (const char *)sg_buf_head(&once), length) !=
				      count ||
			      sg_buf_length(&twice) != length ||
			      memcmp(sg_buf_head(&once), sg_buf_head(&twice), length) != 0))
		abort();
	sg_buf_release(&once);
	sg_buf_release(&twice);
	return 0;
}
