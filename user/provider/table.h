// SPDX-License-Identifier: Apache-2.0
// The rows that say whose a host is and what its paths cost. Not for other modules.
#pragma once

#include "provider/api.h"

// '*' at the end stands for one or more segments, '+' for one segment, '=' for one segment (or what
// is left of the next character of the pattern) that names the model, or of a GET the earlier call.
// A '!' in front: what bounds the call is kept by the provider, so the operator's amount is held;
// the answer tells what is charged.
struct sg_path_rule {
	const char *pattern;
	const struct sg_api *api; // NULL: free
};

// Paths behind a common start. A list ends with rules == NULL.
struct sg_path_group {
	const char *prefix;
	const struct sg_path_rule *rules; // to a NULL pattern
};

struct sg_provider {
	const char *name;
	// Domains whose subdomains count too; '*' stands for characters of one label. To a NULL.
	const char *const *hosts;
	const struct sg_path_group *posts;    // POST, PUT, PATCH
	const struct sg_path_group *upgrades; // GET with an upgrade to a WebSocket; NULL: none
	const struct sg_path_group *gets;     // GETs that settle an earlier call; NULL: none
	enum sg_dialect dialect;	      // of refusals where the path tells none
	unsigned traits;		      // enum sg_trait
	// Headers that its keys come in, to a NULL; the first is the usual one. NULL:
	// authorization, as a bearer token.
	const char *const *key_headers;
	const char *key_parameter; // of a query, where it takes keys there too; NULL: none
};

extern const struct sg_provider sg_providers[];
extern const size_t sg_provider_count;

// What an OpenAI-compatible server answers, for those of the configuration.
extern const struct sg_path_group sg_compatible_posts[];
extern const struct sg_path_rule sg_compatible_rules[];
