// SPDX-License-Identifier: Apache-2.0
// Starting and ending the unprivileged process. Main thread; no other thread may run while it
// forks.
#pragma once

#include <sys/types.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_warden;

// The user that the enforcer runs as: the configured one, else "spendgate", else a number that
// belongs to nobody.
int sg_spawn_find_user(struct sg_warden *warden, struct sg_error *error) SG_WUNRES;

// Makes <state>/ledger for that user.
int sg_spawn_prepare_state(const struct sg_warden *warden, struct sg_error *error) SG_WUNRES;

// Forks and executes spendgate-enforcer: own user, no capabilities, no_new_privs, only standard
// descriptors.
int sg_spawn_enforcer(struct sg_warden *warden, pid_t *ret_pid) SG_WUNRES;

// SIGTERM, then SIGKILL when it is not gone after `patience_ms`.
void sg_spawn_stop(pid_t pid, int patience_ms);
