// SPDX-License-Identifier: Apache-2.0
// The configuration's "webhook": who is told of alerts (docs/budgets.md). Main thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// Checks it and completes it for the enforcer (warden/remote.h). The sentence names the key.
int sg_webhook_complete(json_t *config, struct sg_error *error) SG_WUNRES;
