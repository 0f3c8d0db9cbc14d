// SPDX-License-Identifier: Apache-2.0
// Prometheus' text format. Pure.
#pragma once

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"

// From the status of agents (op "status" of spendgate/control.h, with "redirect" where it is known,
// and "alerts" of an agent). Names that are there twice are told once. Returns 0 or -errno.
int sg_metrics_render(const json_t *status, struct sg_buf *out) SG_WUNRES;
