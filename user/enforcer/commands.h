// SPDX-License-Identifier: Apache-2.0
// Everything that changes or shows limits from outside: messages of the warden (files, what the
// command line asks), and the control API. The main thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"
#include "channel/channel.h"

struct sg_commands;
struct sg_enforcer;

int sg_commands_new(struct sg_enforcer *enforcer, struct sg_commands **ret_commands) SG_WUNRES;
struct sg_commands *sg_commands_free(struct sg_commands *commands);

// The principals of a configuration, at start and when it was read again.
int sg_commands_configure(struct sg_enforcer *enforcer, const json_t *configuration,
	struct sg_error *error) SG_WUNRES;

// A message of the warden: FILES, BUDGET, API, COUNTERS_RESULT; any other is left alone. Takes
// descriptors that it uses.
void sg_commands_take(struct sg_enforcer *enforcer, struct sg_channel_message *message);
