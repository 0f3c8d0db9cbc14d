// SPDX-License-Identifier: Apache-2.0
#include "container/rights.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

#define STATUS_LIMIT 65536

// Rules for packets of its own network namespace, links and maps of ours, and what gives both.
static const struct {
	const char *name;
	unsigned bit;
} rights[] = {
	{ "CAP_BPF", CAP_BPF },
	{ "CAP_NET_ADMIN", CAP_NET_ADMIN },
	{ "CAP_SYS_ADMIN", CAP_SYS_ADMIN },
	{ "CAP_SYS_MODULE", CAP_SYS_MODULE },
};

static int put(uint64_t set, json_t *request)
{
	json_t *list = json_array();

	for (size_t i = 0; i < SG_ARRAY_SIZE(rights); i++)
		if (set >> rights[i].bit & 1)
			json_array_append_new(list, json_string(rights[i].name));
	if (!json_array_size(list)) {
		json_decref(list);
		return 0;
	}
	return json_object_set_new(request, "capabilities", list) < 0 ? -ENOMEM : 0;
}

int sg_rights_of_bundle(const json_t *config, json_t *request)
{
	const json_t *capabilities =
		json_object_get(json_object_get(config, "process"), "capabilities");
	uint64_t set = 0;
	size_t index;
	json_t *item;

	json_array_foreach(json_object_get(capabilities, "bounding"), index, item)
	{
		const char *name = json_string_value(item);

		for (size_t i = 0; name && i < SG_ARRAY_SIZE(rights); i++)
			if (strcmp(rights[i].name, name) == 0)
				set |= UINT64_C(1) << rights[i].bit;
	}
	return put(set, request);
}

int sg_rights_of_process(pid_t pid, json_t *request)
{
	static const char key[] = "\nCapPrm:";
	char path[64], *text;
	const char *line;
	uint64_t set = 0;
	size_t length;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (sg_fd_read_file(path, STATUS_LIMIT, &text, &length) < 0)
		return 0;
	line = strstr(text, key);
	if (line)
		set = strtoull(line + strlen(key), NULL, 16);
	free(text);
	return put(set, request);
}
