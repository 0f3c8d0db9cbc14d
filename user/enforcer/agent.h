// SPDX-License-Identifier: Apache-2.0
// The agents as the data plane sees them. A struct sg_agent is immutable and counted: a change
// makes a new one. The table is written by the main thread and read by workers, once per accepted
// connection.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "base/attr.h"
#include "base/error.h"
#include "budget/engine.h"
#include "control/control.h"
#include "enforcer/agent_load.h"
#include "enforcer/pool.h"
#include "provider/provider.h"

struct sg_keys;

enum sg_unknown_model { SG_UNKNOWN_DENY, SG_UNKNOWN_ALLOW, SG_UNKNOWN_PRICE_AS };

// A provider host that lives where the operator says.
struct sg_origin {
	char host[256];
	uint8_t address[16]; // IPv4 mapped
	uint16_t port;
	bool plain;	     // no TLS towards it
	enum sg_http2 http2; // is it spoken with it
	const struct sg_provider *provider;
};

struct sg_agent {
	_Atomic unsigned references;
	_Atomic bool replaced; // the table has a newer one: for the next call
	uint32_t id;
	char name[SG_BUDGET_NAME_BYTES];
	struct sg_account *account; // borrowed from the engine
	bool policy_exempt;	    // no evaluator is asked about its calls
	bool egress_host;	    // dial from the host's network namespace
	enum sg_unknown_model unknown_model;
	char price_as[SG_MODEL_BYTES];
	bool unnamed_tls;   // to public addresses passes
	json_t *pass_hosts; // globs of what else may be reached, NULL: anything
	unsigned max_connections;
	unsigned max_calls;
	uint64_t max_body_bytes;    // of all its requests that are gathered
	struct sg_agent_load *load; // one reference is ours
	SSL_CTX *upstream_context;  // trust towards providers; one reference is ours
	unsigned origin_count;
	struct sg_origin *origins;
	struct sg_keys *keys; // the operator's, NULL: none
};

struct sg_agents;

// `default_context`: SSL_CTX with the system's trust, for agents without a CA of their own
// (borrowed).
int sg_agents_new(struct sg_control *control, SSL_CTX *default_context,
	struct sg_agents **ret_agents) SG_WUNRES;
struct sg_agents *sg_agents_free(struct sg_agents *agents);

// Adds or replaces an agent from the JSON of message AGENT. The sentence names the place.
int sg_agents_set(struct sg_agents *agents, const char *json, size_t length,
	struct sg_error *error) SG_WUNRES;
void sg_agents_remove(struct sg_agents *agents, uint32_t id);

// A counted reference, or NULL. Any thread.
struct sg_agent *sg_agents_get(struct sg_agents *agents, uint32_t id);
struct sg_agent *sg_agent_unref(struct sg_agent *agent);

// The agent as it is now, in exchange for a reference to how it was; the same where nothing has
// changed or it is gone. Any thread.
struct sg_agent *sg_agent_renew(struct sg_agents *agents, struct sg_agent *agent);

// For each agent, under the table's lock (status).
typedef int (*sg_agent_visit_fn)(void *context, struct sg_agent *agent);
int sg_agents_each(struct sg_agents *agents, sg_agent_visit_fn visit, void *context);

// May a connection that is no provider's pass? `host` is the name that it tells; "" for none:
// ADDRESS:PORT stands for it then.
bool sg_agent_may_pass(
	const struct sg_agent *agent, const char *host, const uint8_t address[16], uint16_t port);

// NULL: none.
const struct sg_origin *sg_agent_origin_by_host(const struct sg_agent *agent, const char *host);
const struct sg_origin *sg_agent_origin_by_address(
	const struct sg_agent *agent, const uint8_t address[16], uint16_t port);
