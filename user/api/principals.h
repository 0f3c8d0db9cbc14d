// SPDX-License-Identifier: Apache-2.0
// Who may do what over the control API: names, tokens (as SHA-256), verbs, and the agents that they
// are for. Immutable once parsed; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_principals;
struct sg_principal;

enum sg_verb {
	SG_VERB_STATUS,	    // fleet.status
	SG_VERB_METRICS,    // fleet.query_metrics
	SG_VERB_BUDGET_GET, // fleet.budget.get
	SG_VERB_BUDGET_SET, // fleet.budget.set
	SG_VERB_AUDIT,	    // fleet.audit
	SG_VERB_CUT,	    // fleet.agent.cut
	SG_VERB_COUNT
};

const char *sg_verb_name(enum sg_verb verb);

// From the list "principals" of the configuration: {"name", "token_sha256", "verbs": [...],
// "agents": [globs]} (also "claw_ids" for "agents"). The sentence names the entry.
int sg_principals_parse(const json_t *list, struct sg_principals **ret_principals,
	struct sg_error *error) SG_WUNRES;
struct sg_principals *sg_principals_free(struct sg_principals *principals);

// Whose token an Authorization header (may be NULL) carries; NULL: nobody's. Takes as long whoever
// it is, and whether or not.
const struct sg_principal *sg_principals_find(
	const struct sg_principals *principals, const char *header);

const char *sg_principal_name(const struct sg_principal *principal);
bool sg_principal_may(const struct sg_principal *principal, enum sg_verb verb);
bool sg_principal_covers(const struct sg_principal *principal, const char *agent);

// Is it for every agent there may ever be ("*")?
bool sg_principal_covers_all(const struct sg_principal *principal);
