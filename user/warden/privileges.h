// SPDX-License-Identifier: Apache-2.0
// What the warden keeps of root's powers, and how many descriptors both processes may have. Before
// anything is opened; main thread.
#pragma once

#include "base/attr.h"
#include "base/error.h"

// Drops every capability that neither the warden nor the start of the enforcer needs, for good.
int sg_privileges_reduce(struct sg_error *error) SG_WUNRES;

// As many descriptors as the kernel gives: two a connection, for up to half a million.
void sg_privileges_raise_limits(void);
