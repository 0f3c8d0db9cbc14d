// SPDX-License-Identifier: Apache-2.0
// Any bytes as a Java key store: refused, or one that can be added to again. The parser that only
// the child runs gets the same bytes.
#include <stdint.h>
#include <stdlib.h>

#include "trust/keystore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_buf once = { 0 }, twice = { 0 }, list = { .limit = SG_KEYSTORE_LIMIT };

	if (sg_jks_add(&once, data, size, "certificate", 11) == 0 &&
		sg_jks_add(&twice, sg_buf_head(&once), sg_buf_length(&once), "certificate", 11) !=
			0)
		abort();
	if (sg_pkcs12_certificates(&list, data, size) == 0 && sg_keystore_is(data, size) &&
		sg_buf_length(&list) > 16 * size + 64)
		abort();
	sg_buf_release(&once);
	sg_buf_release(&twice);
	sg_buf_release(&list);
	return 0;
}
