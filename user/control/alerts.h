// SPDX-License-Identifier: Apache-2.0
// How many alerts an agent's calls have caused. Any thread. A lock of its own: the ledger's writer
// tells of alerts while a change of policy may be waiting for that writer.
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct sg_alerts;

int sg_alerts_new(struct sg_alerts **ret_alerts) SG_WUNRES;
struct sg_alerts *sg_alerts_free(struct sg_alerts *alerts);

void sg_alerts_add(struct sg_alerts *alerts, const char *agent);

// Since the start.
int64_t sg_alerts_count(struct sg_alerts *alerts, const char *agent);
