// SPDX-License-Identifier: Apache-2.0
// What an agent is: made of the request, its profile, and the configuration's defaults; checked
// before anything is attached. Main thread.
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// `request` as in spendgate/control.h, its "image" judged and taken (warden/image.h).
// *ret_definition is a new reference to message AGENT's JSON. Returns 0, -EINVAL with the sentence,
// or -ENOMEM.
int sg_definition_make(const json_t *config, const json_t *request, uint32_t id,
	json_t **ret_definition, struct sg_error *error) SG_WUNRES;

// The configuration's "profiles". `place` begins the sentence.
int sg_definition_check_profiles(
	const json_t *profiles, const char *place, struct sg_error *error) SG_WUNRES;
