// SPDX-License-Identifier: Apache-2.0
// What the command line asks about budgets, by way of the warden (op "budget" of
// spendgate/control.h). The main thread.
#pragma once

#include <jansson.h>

#include "base/attr.h"

struct sg_enforcer;

// Does what `request` (borrowed; NULL: it could not be read) says. *ret_fd is a memfd with the
// answer, also when that is a refusal. Returns 0 or -errno without one.
int sg_commands_run(struct sg_enforcer *enforcer, const json_t *request, int *ret_fd) SG_WUNRES;
