// SPDX-License-Identifier: Apache-2.0
// A ClientHello is read the same whatever comes behind it, and a prefix never says more than the
// whole.
#include <stdlib.h>
#include <string.h>

#include "tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_hello whole, part;
	size_t need = 0;
	int r = sg_hello_parse(data, size, &whole, &need);

	if (r == 0 && need <= size)
		abort();
	if (r == 1 && strlen(whole.sni) >= sizeof(whole.sni))
		abort();
	for (size_t length = 0; length < size && length < 300; length++) {
		int early = sg_hello_parse(data, length, &part, &need);

		if (early == 1 && (r != 1 || strcmp(part.sni, whole.sni) != 0))
			abort();
		if (early < 0 && r >= 0)
			abort();
	}
	return 0;
}
