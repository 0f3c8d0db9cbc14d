// SPDX-License-Identifier: Apache-2.0
// A new price table for a running service, and the one that an earlier run was given. Main thread.
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_warden;

// Where the configuration names no file with prices: the one that was put in force last, when there
// is one. Checked, as all of the configuration is.
int sg_prices_add(const struct sg_warden *warden, json_t *config, struct sg_error *error) SG_WUNRES;

// Checks the document as a whole, puts it in the place of the configuration's file (or into the
// state directory) and in force for the calls that come; those in flight keep their table. On an
// error nothing has changed. Returns 0 or -errno.
int sg_prices_update(
	struct sg_warden *warden, const json_t *document, struct sg_error *error) SG_WUNRES;
