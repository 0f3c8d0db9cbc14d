// SPDX-License-Identifier: Apache-2.0
// Any bytes as a pod file: an error with a place, or agents whose metadata is JSON.
#include <stdint.h>
#include <stdlib.h>

#include "compile/pod.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_error error = { "" };
	json_t *agents = NULL, *metadata;
	const char *agent;

	if (sg_pod_compile((const char *)data, size, &agents, &error) < 0) {
		if (!error.text[0])
			abort();
		return 0;
	}
	json_object_foreach(agents, agent, metadata)
	{
		char *text = sg_pod_render(metadata);
		json_t *again = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

		if (!again)
			abort();
		json_decref(again);
		free(text);
	}
	json_decref(agents);
	return 0;
}
