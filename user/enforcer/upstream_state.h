// SPDX-License-Identifier: Apache-2.0
// What upstream.c and upstream_connect.c do for each other. Not for other modules.
#pragma once

#include "base/attr.h"
#include "enforcer/upstream.h"

void sg_upstream_link(struct sg_upstream **head, struct sg_upstream *upstream);
void sg_upstream_unlink(struct sg_upstream *upstream);

// Tells the users why there will be no connection.
void sg_upstream_fail(struct sg_upstream *upstream, int error, const char *detail);

// TCP and TLS are there; `h2`: it is for HTTP/2.
void sg_upstream_become_ready(struct sg_upstream *upstream, bool h2);

// Of the socket, in any state.
void sg_upstream_on_event(struct sg_watch *watch, uint32_t events);

// ---- upstream_connect.c ----

// Begins. Returns 0 or -errno.
int sg_upstream_connect(struct sg_upstream *upstream) SG_WUNRES;

// Something happened in the state of that name.
void sg_upstream_finish_connect(struct sg_upstream *upstream);
void sg_upstream_shake_hands(struct sg_upstream *upstream);
