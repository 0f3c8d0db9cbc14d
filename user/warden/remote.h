// SPDX-License-Identifier: Apache-2.0
// An HTTP service of the operator that the configuration names: the policy evaluator, the webhook.
// Main thread. All sentences name the key.
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_remote {
	const char *place;  // its key in the configuration
	const char *secret; // key of its secret, which SECRET_file may have instead
	int default_timeout_ms;
	bool is_base; // more is put behind the URL
};

// All keys of `object` are among `known` (NULL ends it) and texts, but for "timeout_ms" and
// "rules".
int sg_remote_check_keys(json_t *object, const char *const *known, const char *place,
	struct sg_error *error) SG_WUNRES;

// Checks, and puts beside what the file says what the enforcer needs, which can neither look names
// up nor read root's files: "host", "port", "address" where that is one, "tls", "path", the secret,
// "timeout_ms".
int sg_remote_complete(
	json_t *object, const struct sg_remote *remote, struct sg_error *error) SG_WUNRES;
