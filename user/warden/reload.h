// SPDX-License-Identifier: Apache-2.0
// A changed configuration for a running service. Main thread.
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_warden;

// Reads the file again, checks it and what it makes of every agent, and puts it in force for the
// next call of each: no connection is dropped. On an error nothing has changed. `ret_restart` gets
// the keys that have changed and need a restart, as "workers, user", or "".
int sg_reload(
	struct sg_warden *warden, char *ret_restart, size_t size, struct sg_error *error) SG_WUNRES;
