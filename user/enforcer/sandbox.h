// SPDX-License-Identifier: Apache-2.0
// What the enforcer may ask of the kernel once it has started: a list of system calls; any other
// ends the process, and the kernel's audit log names it.
#pragma once

#include "base/attr.h"
#include "base/error.h"

// For every thread of the process, and for good. Called when all threads run and before the first
// byte of an agent is read: no thread or process can be made afterwards.
int sg_sandbox_enter(struct sg_error *error) SG_WUNRES;
