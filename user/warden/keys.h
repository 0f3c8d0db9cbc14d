// SPDX-License-Identifier: Apache-2.0
// The operator's keys for providers: the configuration's "keys", a list of {"agent", "provider",
// "host"?, "key_file"}. The files are read when an agent is announced to the enforcer, and are kept
// nowhere here. Main thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// Every entry, and that its file can be used. `place` begins the sentence. Returns 0 or -errno.
int sg_keys_check(const json_t *list, const char *place, struct sg_error *error) SG_WUNRES;

// The agent's own, for message AGENT: *ret_keys is a new reference to a list, NULL when it has
// none. To be given to sg_keys_wipe. Returns 0 or -errno with the sentence.
int sg_keys_of_agent(const json_t *config, const char *agent, json_t **ret_keys,
	struct sg_error *error) SG_WUNRES;

// Takes the reference, and overwrites the keys.
void sg_keys_wipe(json_t *keys);
