// SPDX-License-Identifier: Apache-2.0
// Any bytes as a Java key store: refused, or one that can be added to again. PKCS#12 is not taken
// apart here: its parser is OpenSSL's, runs in a child without rights, and may be told to take
// long.
#include <stdint.h>
#include <stdlib.h>

#include "trust/keystore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_buf once = { 0 }, twice = { 0 };

	if (sg_jks_add(&once, data, size, "certificate", 11) == 0 &&
		sg_jks_add(&twice, sg_buf_head(&once), sg_buf_length(&once), "certificate", 11) !=
			0)
		abort();
	if (sg_buf_length(&once) && !sg_keystore_is(data, size))
		abort();
	sg_buf_release(&once);
	sg_buf_release(&twice);
	return 0;
}
