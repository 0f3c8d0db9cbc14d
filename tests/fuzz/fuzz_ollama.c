// SPDX-License-Identifier: Apache-2.0
#include "fuzz/exchange.h"
#include "provider/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_exchange(&sg_api_ollama, data, size);
}
