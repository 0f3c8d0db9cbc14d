// SPDX-License-Identifier: Apache-2.0
// The listening sockets of the control API, made here because the enforcer may not: <run>/api.sock
// and, where it is configured, a TCP address. The enforcer serves them.
#pragma once

#include "base/attr.h"
#include "base/error.h"

struct sg_warden;

// "api" of the configuration. Not there: nothing is opened.
int sg_api_sockets_open(struct sg_warden *warden, struct sg_error *error) SG_WUNRES;
void sg_api_sockets_tell(struct sg_warden *warden);
void sg_api_sockets_close(struct sg_warden *warden);
