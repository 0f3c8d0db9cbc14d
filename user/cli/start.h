// SPDX-License-Identifier: Apache-2.0
// Reaching spendgated, and bringing one along when there is none. Main thread.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "daemon/daemon.h"

// `command`, as it is called, is root's only. Returns 0, or -EPERM with the remedy.
int sg_start_need_root(const char *command, struct sg_error *error) SG_WUNRES;

// Connects. With `start`, a daemon is started on demand when none answers; `config_path` (NULL: its
// default) is given to it. Returns 0 or -errno with the sentence.
int sg_start_open(struct sg_daemon *daemon, bool start, const char *config_path,
	struct sg_error *error) SG_WUNRES;
