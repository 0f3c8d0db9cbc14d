// SPDX-License-Identifier: Apache-2.0
// The policy of each agent while it runs. What is in force is merged from layers, the weakest
// first, field by field:
//
//   metadata           <compiled>/<agent>/metadata.json, written by `spendgate compile`
//   request            what the agent was started with: options, labels, profile
//   compiled_override  <compiled>/<agent>/budget-override.json
//   override           <governance>/<agent>/budget-override.json
//   governance         <governance>/<agent>/budget.json
//   live               command line and control API; kept over restarts
//
// A layer that is no good is refused, and the last good one stays in force, also over a restart. A
// change of policy is in force when the call returns; it never resets usage, and holds in flight
// stay held. Each change, refusal and expiry is a line of the audit log.
//
// Any thread; one lock, which is never taken by a call of an agent.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"
#include "budget/engine.h"
#include "control/audit.h"

struct sg_control;

struct sg_control_options {
	struct sg_engine *engine;    // borrowed
	struct sg_audit *audit;	     // borrowed
	const char *state_directory; // overrides.json and layers.json
	int64_t (*wall_ns)(void);    // NULL: sg_clock_wall_ns; a seam for tests
};

// Reads what was kept. A file that can't be read stops the start: caps that were set live must not
// be forgotten.
int sg_control_new(const struct sg_control_options *options, struct sg_control **ret_control,
	struct sg_error *error) SG_WUNRES;
struct sg_control *sg_control_free(struct sg_control *control);

// An agent starts, or is told again: `labels` (as in sg_policy) and `budgets` are those it was
// started with. *ret_account as sg_account_set. Returns 0,
// or -errno when the layers do not make a policy together: the agent must not start then.
int sg_control_register(struct sg_control *control, const char *agent, const char *labels,
	const json_t *budgets, struct sg_account **ret_account, struct sg_error *error) SG_WUNRES;

// A live override, as in control/override.h; "expires" may also be a duration ("2h"). `who` is for
// the audit log. An agent that is not running gets it when it starts. *ret_answer is {"agent",
// "started", "before", "after"}. Returns 0, -EINVAL, or another -errno; nothing has changed then.
int sg_control_set(struct sg_control *control, const char *who, const char *agent,
	const json_t *override, json_t **ret_answer, struct sg_error *error) SG_WUNRES;

// Takes live overrides back: those of one budget, or all (`budget` NULL). -ENOENT: there are none.
int sg_control_remove(struct sg_control *control, const char *who, const char *agent,
	const char *budget, const char *reason, json_t **ret_answer,
	struct sg_error *error) SG_WUNRES;

// {"agents": [{"agent", "started", "budgets", "layers": {...}, "errors": [{"layer", "source",
// "error"}], "usage"?}]}, of one agent unless NULL. Returns 0, -ENOENT or -ENOMEM.
int sg_control_show(struct sg_control *control, const char *agent, json_t **ret_answer,
	struct sg_error *error) SG_WUNRES;

// What the warden read of the watched directories (message FILES of spendgate/channel.h).
void sg_control_take_files(struct sg_control *control, const json_t *message);

// Which files of an agent are refused: a list as "errors" above. New reference, or NULL on -ENOMEM.
json_t *sg_control_errors(struct sg_control *control, const char *agent);

// Ends what has expired by now. A thread of its own does it in time; tests call it.
void sg_control_expire(struct sg_control *control);
