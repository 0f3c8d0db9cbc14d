// SPDX-License-Identifier: Apache-2.0
// The configuration's guards: parents of agents' cgroups in which nothing but agents reaches a
// public network, from the start of the service on. Main thread.
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_warden;

// The configuration's "guards": paths below the root of the hierarchy. Returns 0 or -EINVAL with
// the sentence.
int sg_guards_check(const json_t *value, const char *key, struct sg_error *error) SG_WUNRES;

// Makes the guards of `config` that are not there, with their cgroups. A group that a guard was
// made for by hand has one. Needs no enforcer. Returns 0 or -errno with the sentence.
int sg_guards_make(
	struct sg_warden *warden, const json_t *config, struct sg_error *error) SG_WUNRES;

// Ends those that another configuration made.
void sg_guards_end_others(struct sg_warden *warden, const json_t *config);

// The cgroup of a guard may have been removed: once a turn of the reaper. Says so in the log if it
// can't be made again. Returns whether there is something to look after.
bool sg_guards_tend(struct sg_warden *warden);
