// SPDX-License-Identifier: Apache-2.0
// The two halves of the shim: before the real runtime, and as its hook. Main thread.
#pragma once

#include "base/attr.h"
#include "base/error.h"
#include "runc/arguments.h"

// Before `create`: when the container is an agent, its bundle gets trust, the hook, and the request
// that the hook will make. Returns 0 (go on), -ENOTCONN (spendgated is away), or another -errno,
// with the sentence.
int sg_runc_prepare(const struct sg_runc_arguments *arguments, struct sg_error *error) SG_WUNRES;

// The OCI hook createRuntime: namespaces and cgroup are there, and the container's process waits.
// Reads the state from standard input and registers. Returns as sg_runc_prepare.
int sg_runc_hook(struct sg_error *error) SG_WUNRES;

#define SG_RUNC_REQUEST "spendgate.json" // in the bundle
