// SPDX-License-Identifier: Apache-2.0
// The operator's keys that an agent's calls are made with, in place of its own. Immutable; any
// thread. They are written to connections of the provider's own hosts only, never to a log or an
// answer.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"
#include "provider/provider.h"

struct sg_keys;
struct sg_client;

// `list` is "keys" of message AGENT; NULL or empty: *ret_keys is NULL. Returns 0, -EINVAL with the
// sentence, or -ENOMEM.
int sg_keys_parse(const json_t *list, struct sg_keys **ret_keys, struct sg_error *error) SG_WUNRES;

// Wipes them.
struct sg_keys *sg_keys_free(struct sg_keys *keys);

// The key of a connection's calls; NULL: what the agent sends stands. Borrowed from the client's
// agent.
const char *sg_keys_of_client(const struct sg_client *client);
