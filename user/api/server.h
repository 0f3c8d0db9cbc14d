// SPDX-License-Identifier: Apache-2.0
// The control API: HTTP and JSON over sockets that the warden opened (docs/control.md has the
// requests). One thread of its own, there from the start: the enforcer makes none later. Every
// request but one for /health needs a principal's token.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "api/principals.h"
#include "base/attr.h"
#include "base/error.h"
#include "control/control.h"

struct sg_api;

// What the audit log has of requests without a token. Of the thread that asks.
struct sg_api_strangers {
	int64_t told_ns; // the last line; 0: none
	unsigned since;	 // requests after it
};

struct sg_api_options {
	struct sg_control *control; // borrowed, as all here
	struct sg_audit *audit;
	// Any thread: {"agents": [...], "redirect"?: {...}}, new reference or NULL.
	json_t *(*status)(void *context);
	// Any thread: asks for an agent to be cut off, or to go on. Returns 0, -ENOENT: there is
	// none, or another -errno.
	int (*cut)(
		void *context, bool is_cut, const char *agent, const char *who, const char *reason);
	void *context;
	struct sg_api_strangers *strangers; // sg_api_new sets it
};

int sg_api_new(const struct sg_api_options *options, struct sg_api **ret_api) SG_WUNRES;
struct sg_api *sg_api_free(struct sg_api *api);

// Takes the principals; NULL: nobody may do anything. Requests under way end with those that they
// began with.
void sg_api_set_principals(struct sg_api *api, struct sg_principals *principals);

// Serves connections of listening sockets, which it takes, in place of those it had.
void sg_api_listen(struct sg_api *api, const int *fds, unsigned count);
