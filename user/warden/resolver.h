// SPDX-License-Identifier: Apache-2.0
// Looks up the names of the operator's services ("policy", "webhook"), in a thread of its own: the
// resolver of the host may take its time, and at the start of a machine there may be none yet.
// Main thread.
#pragma once

struct sg_warden;

// Of the configuration in force: what is not resolved yet is looked up, again and again. Waits for
// the first answer for two seconds at most; the enforcer is told of what comes later.
void sg_resolver_look(struct sg_warden *warden);
void sg_resolver_stop(struct sg_warden *warden);
