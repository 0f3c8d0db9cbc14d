// SPDX-License-Identifier: Apache-2.0
// What the parts of user/control share. All of it is under the lock of struct sg_control.
#pragma once

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include <uthash.h>

#include "control/control.h"
#include "control/override.h"

enum sg_layer {
	SG_LAYER_METADATA,
	SG_LAYER_REQUEST,
	SG_LAYER_COMPILED_OVERRIDE,
	SG_LAYER_OVERRIDE,
	SG_LAYER_GOVERNANCE,
	SG_LAYER_LIVE,
	SG_LAYER_COUNT
};

// One agent name.
struct sg_control_agent {
	UT_hash_handle hh;
	char name[SG_BUDGET_NAME_BYTES];
	json_t *layers[SG_LAYER_COUNT]; // lists of overrides; NULL: none
	char *errors[SG_LAYER_COUNT];  // why the newest file of a layer is refused; NULL: it is not
	char *sources[SG_LAYER_COUNT]; // paths, once there was a file
	unsigned turns[SG_LAYER_COUNT]; // of sg_control.turn, when the file was last seen
	json_t *budgets;		// in force; NULL: the agent has not started yet
	struct sg_account *account;	// borrowed from the engine; NULL as above
	int64_t next_expiry_ns;		// wall; INT64_MAX: none
	char labels[SG_LABELS_BYTES];	// as it was started with
};

struct sg_control {
	pthread_mutex_t lock;
	pthread_cond_t expiry;
	pthread_t thread;
	bool has_thread, stop;
	struct sg_engine *engine;
	struct sg_audit *audit;
	int64_t (*wall_ns)(void);
	char overrides_path[PATH_MAX]; // live ones
	char layers_path[PATH_MAX];    // the last good of files
	struct sg_control_agent *agents;
	unsigned turn; // of complete readings of the directories
};

const char *sg_layer_name(enum sg_layer layer);

// -EINVAL: no layer of this name that a file can be.
int sg_layer_of_file(const char *name, enum sg_layer *ret_layer) SG_WUNRES;

// The agent of a name, made where there is none. Returns 0, -EINVAL (no name), -ENOSPC or -ENOMEM
// with the sentence.
int sg_control_agent(struct sg_control *control, const char *name,
	struct sg_control_agent **ret_agent, struct sg_error *error) SG_WUNRES;

// Puts `list` (taken; may be NULL) in place of a layer and brings the result into force. On failure
// all is as before. *ret_before and *ret_after (new references; null where the agent has not
// started) are what was and is in force.
int sg_control_replace(struct sg_control *control, struct sg_control_agent *agent,
	enum sg_layer layer, json_t *list, json_t **ret_before, json_t **ret_after,
	struct sg_error *error) SG_WUNRES;

// Would `list` (borrowed) make a policy in place of a layer?
int sg_control_check(const struct sg_control *control, const struct sg_control_agent *agent,
	enum sg_layer layer, const json_t *list, struct sg_error *error) SG_WUNRES;

// An audit line about a change; takes before and after.
void sg_control_audit_change(struct sg_control *control, const char *event, const char *who,
	const struct sg_control_agent *agent, json_t *change, json_t *before, json_t *after);

// store.c: what is kept over a restart. Each returns 0 or -errno.
int sg_control_store_live(const struct sg_control *control) SG_WUNRES;
int sg_control_store_files(const struct sg_control *control) SG_WUNRES;
int sg_control_load(struct sg_control *control, struct sg_error *error) SG_WUNRES;
