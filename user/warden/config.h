// SPDX-License-Identifier: Apache-2.0
// The configuration file (docs/configuration.md): checked as a whole before anything uses it. Main
// thread.
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// Reads and checks; a missing file is an empty configuration when `must_exist` is false. The
// sentence names file and place. *ret_config is a new reference.
int sg_config_load(
	const char *path, bool must_exist, json_t **ret_config, struct sg_error *error) SG_WUNRES;

// Checks an array of origins (configuration, or `--origin`). `place` begins the sentence.
int sg_config_check_origins(
	const json_t *origins, const char *place, struct sg_error *error) SG_WUNRES;

// A list of globs. NULL is fine.
int sg_config_check_pass_hosts(const json_t *value, struct sg_error *error) SG_WUNRES;

// deny, allow, price_as:MODEL. NULL is fine.
int sg_config_check_unknown_model(const char *text, struct sg_error *error) SG_WUNRES;
