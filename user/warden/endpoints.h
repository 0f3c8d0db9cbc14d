// SPDX-License-Identifier: Apache-2.0
// The addresses of agents' origins in the kernel's map: connections to them are metered wherever
// they are. A set without counts there; who names an address is looked up here. Main thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_warden;

// Adds what a definition's origins name.
int sg_endpoints_add(
	struct sg_warden *warden, const json_t *definition, struct sg_error *error) SG_WUNRES;

// Removes those of a definition that is no agent's any more, but for what another agent's names.
void sg_endpoints_drop(struct sg_warden *warden, const json_t *definition);
