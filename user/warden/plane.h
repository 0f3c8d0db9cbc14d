// SPDX-License-Identifier: Apache-2.0
// The configuration's "policy": where the policy evaluator is (docs/policy.md). Main thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// Takes what the configuration, or the reference's variables of the environment, say; checks it,
// and puts beside it what the enforcer needs, which can't look names up: "address", "host", "tls",
// "path", "token", "timeout_ms". The sentence names the key.
int sg_plane_complete(json_t *config, struct sg_error *error) SG_WUNRES;
