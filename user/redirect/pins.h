// SPDX-License-Identifier: Apache-2.0
// Where links and maps are pinned: <pin>/agents/<agent id>/<hook>, <pin>/service/<hook>,
// <pin>/maps/<map>. What was pinned with maps of another layout is moved to <pin>/before and goes
// on there, until it is attached anew. For the files of this module.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define SG_PINS_BEFORE "before"

struct sg_redirect;

void sg_pins_of_agent(
	const struct sg_redirect *redirect, uint32_t agent_id, char *out, size_t size);
void sg_pins_before_of_agent(
	const struct sg_redirect *redirect, uint32_t agent_id, char *out, size_t size);

// Unpins what is there, and removes the folder; a link without a pin or descriptor detaches.
void sg_pins_remove(const char *directory);

// Visits the folders of agents in `folder`, "agents" or SG_PINS_BEFORE "/agents". Returns 0 or the
// first failure.
int sg_pins_each_agent(struct sg_redirect *redirect, const char *folder,
	int (*visit)(struct sg_redirect *, uint32_t, const char *, void *),
	void *context) SG_WUNRES;

// Moves all pins out of the way, with what they hold still in force. Returns 0 or -errno
// (-ENOTEMPTY: what was moved before is not done with).
int sg_pins_set_aside(const struct sg_redirect *redirect) SG_WUNRES;

// The way back, where the new object can't be loaded either.
void sg_pins_put_back(const struct sg_redirect *redirect);
