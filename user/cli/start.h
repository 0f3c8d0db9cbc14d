// SPDX-License-Identifier: Apache-2.0
// Reaching spendgated, and bringing one along when there is none. Main thread.
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"
#include "daemon/daemon.h"

// `command`, as it is called, is root's only. Returns 0, or -EPERM with the remedy.
int sg_start_need_root(const char *command, struct sg_error *error) SG_WUNRES;

// Connects. With `start`, a daemon is started on demand when none answers; `config_path` (NULL: its
// default) is given to it. Returns 0 or -errno with the sentence.
int sg_start_open(struct sg_daemon *daemon, bool start, const char *config_path,
	struct sg_error *error) SG_WUNRES;

// What a command that only asks does: connects, asks, prints what went wrong. Takes `request`.
// Returns the command's exit code: SG_EXIT_OK with *ret_answer, a new reference; SG_EXIT_NOPERM;
// SG_EXIT_UNAVAILABLE where none answers; `refused` where the request comes to nothing.
int sg_start_ask(json_t *request, int refused, json_t **ret_answer) SG_WUNRES;
