// SPDX-License-Identifier: Apache-2.0
// Start order and its reverse. Main thread.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "loop/loop.h"

struct sg_warden;

// Directories, lock, cgroup, BPF, CA, agents of an earlier run, enforcer, control socket.
int sg_setup_start(struct sg_warden *warden, struct sg_error *error) SG_WUNRES;

// A byte to `ready_fd` (-1: none), and READY=1 to the service manager.
void sg_setup_tell_ready(int ready_fd);

// A stop of the service leaves pins and agents: they stay fenced. On demand, and after a start that
// failed (`started` false), everything is removed where nobody is fenced.
void sg_setup_stop(struct sg_warden *warden, bool started);

// Removes what an instance that is not running has left. Fails while one is running.
int sg_setup_purge(struct sg_warden *warden, struct sg_error *error) SG_WUNRES;

int sg_setup_exit_code(int result);
