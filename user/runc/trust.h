// SPDX-License-Identifier: Apache-2.0
// Makes a container trust the CA without touching its image: certificates that its clients read are
// merged with ours and mounted over, read-only, and variables are set where they are not. One
// thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// Changes `config` (the bundle's config.json): mounts and process.env, by trust/bundles.h. Returns
// 0 or -errno with the sentence.
int sg_runc_trust(json_t *config, const char *bundle, const char *run_directory,
	struct sg_error *error) SG_WUNRES;
