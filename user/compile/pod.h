// SPDX-License-Identifier: Apache-2.0
// The budgets of a pod file: `x-claw.budget-defaults` of the pod, `x-claw.budget` of its services.
// A service's own budget replaces the defaults entirely; null removes them; every replica of
// `count` has a cap of its own. Pure.
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// *ret_agents is {AGENT: {"agent_id", "pod"?, "service", "budget"?}}, AGENT being the service, or
// service-0, service-1,
// ... "limit_usd" in it is a text, the exact decimal. Mistakes are told as `service "NAME": parse
// budget: ...` with line and column at the end. Returns 0, -EINVAL, -EFBIG or -ENOMEM.
int sg_pod_compile(
	const char *text, size_t length, json_t **ret_agents, struct sg_error *error) SG_WUNRES;

// metadata.json: the dollars as a number in plain decimals. Freed by the caller; NULL on -ENOMEM.
char *sg_pod_render(const json_t *metadata);
